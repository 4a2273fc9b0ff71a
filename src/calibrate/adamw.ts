/**
 * AdamW without weight decay (Loshchilov & Hutter, arXiv 1711.05101), in float64 on the host. Its state is plain data,
 * so that a checkpoint restores it bit for bit.
 */
import { at } from '../errors.js';

export interface AdamState {
  readonly step: number;
  /** Running mean of the gradients, one per gate. */
  readonly mean: readonly number[];
  /** Running mean of their squares. */
  readonly square: readonly number[];
}

export const BETA1 = 0.9;
export const BETA2 = 0.999;
export const EPSILON = 1e-8;

export function initialAdam(parameters: number): AdamState {
  return { step: 0, mean: new Array<number>(parameters).fill(0), square: new Array<number>(parameters).fill(0) };
}

/** One update. Parameters are rounded to float32, which is how gates are kept. */
export function adamStep(
  parameters: ArrayLike<number>,
  gradients: ArrayLike<number>,
  state: AdamState,
  learningRate: number,
): { readonly parameters: Float32Array; readonly state: AdamState } {
  const step = state.step + 1;
  const mean = state.mean.map((value, i) => BETA1 * value + (1 - BETA1) * at(gradients, i));
  const square = state.square.map((value, i) => BETA2 * value + (1 - BETA2) * at(gradients, i) ** 2);
  const stepSize = learningRate / (1 - BETA1 ** step);
  const correction = Math.sqrt(1 - BETA2 ** step);
  const updated = Float32Array.from({ length: parameters.length }, (_, i) => {
    const denominator = Math.sqrt(at(square, i)) / correction + EPSILON;
    return at(parameters, i) - (stepSize * at(mean, i)) / denominator;
  });
  return { parameters: updated, state: { step, mean, square } };
}
