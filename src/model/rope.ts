/**
 * Rotary tables. Frequencies and angles are rounded to float32 as transformers computes them
 * (transformers/modeling_rope_utils.py), so that long positions agree with it to the last bit that matters.
 */
import type { Device, Tensor } from '../device/device.js';
import { at } from '../errors.js';
import type { ModelConfig, RopeScaling } from './config.js';

export interface Rope {
  readonly cos: Tensor; // (tokens, headDim / 2)
  readonly sin: Tensor; // (tokens, headDim / 2)
}

/** Rotary tables for `positions` on the device. */
export function ropeAt(device: Device, config: ModelConfig, positions: Int32Array): Rope {
  const frequencies = inverseFrequencies(config);
  const factor = config.ropeScaling.type === 'yarn' ? config.ropeScaling.attentionFactor : 1;
  const half = frequencies.length;
  const cos = new Float32Array(positions.length * half);
  const sin = new Float32Array(positions.length * half);
  positions.forEach((position, token) => {
    for (let i = 0; i < half; i++) {
      const angle = Math.fround(position * at(frequencies, i));
      cos[token * half + i] = Math.cos(angle) * factor;
      sin[token * half + i] = Math.sin(angle) * factor;
    }
  });
  const shape = [positions.length, half];
  return { cos: device.upload(cos, shape), sin: device.upload(sin, shape) };
}

/** Positions start..start+count-1. */
export function positionsFrom(start: number, count: number): Int32Array {
  return Int32Array.from({ length: count }, (_, i) => start + i);
}

/** One frequency per pair of elements, (headDim / 2), scaled as the config says. */
export function inverseFrequencies(config: ModelConfig): Float32Array {
  const { headDim, ropeTheta } = config;
  return Float32Array.from({ length: headDim / 2 }, (_, i) =>
    scale(1 / Math.fround(ropeTheta ** Math.fround((2 * i) / headDim)), i, config),
  );
}

function scale(frequency: number, i: number, config: ModelConfig): number {
  const { ropeScaling: scaling } = config;
  switch (scaling.type) {
    case 'default':
      return frequency;
    case 'linear':
      return Math.fround(frequency) / scaling.factor;
    case 'llama3':
      return scaleLlama3(Math.fround(frequency), scaling);
    case 'yarn':
      return scaleYarn(Math.fround(frequency), yarnKeep(i, config, scaling), scaling.factor);
    case 'divided':
      return Math.fround(frequency) / at(scaling.divisors, i);
    default:
      return scaling satisfies never;
  }
}

/**
 * Share of its speed that frequency i keeps under YaRN: 1 where it turns `betaFast` times or more over the original
 * positions, 0 where `betaSlow` times or fewer, a straight line between (arXiv 2309.00071, section 3.2).
 */
function yarnKeep(i: number, { headDim, ropeTheta }: ModelConfig, scaling: Extract<RopeScaling, { type: 'yarn' }>): number {
  const indexOfTurns = (turns: number): number =>
    (headDim * Math.log(scaling.originalPositions / (turns * 2 * Math.PI))) / (2 * Math.log(ropeTheta));
  const [first, last] = [indexOfTurns(scaling.betaFast), indexOfTurns(scaling.betaSlow)];
  const low = Math.max(scaling.truncate ? Math.floor(first) : first, 0);
  const high = Math.min(scaling.truncate ? Math.ceil(last) : last, headDim - 1);
  const width = high === low ? 0.001 : high - low;
  return Math.fround(1 - Math.min(1, Math.max(0, Math.fround(Math.fround(i - low) / width))));
}

function scaleYarn(frequency: number, keep: number, factor: number): number {
  const slowed = Math.fround(1 / Math.fround(factor * Math.fround(1 / frequency)));
  return Math.fround(slowed * Math.fround(1 - keep)) + Math.fround(frequency * keep);
}

/** Llama 3.1's schedule: long wavelengths are slowed by `factor`, short ones kept, the band between blended. */
function scaleLlama3(frequency: number, scaling: Extract<RopeScaling, { type: 'llama3' }>): number {
  const { factor, lowFreqFactor, highFreqFactor, originalPositions } = scaling;
  const wavelength = (2 * Math.PI) / frequency;
  if (wavelength > originalPositions / lowFreqFactor) return frequency / factor;
  if (wavelength < originalPositions / highFreqFactor) return frequency;
  const smooth = (originalPositions / wavelength - lowFreqFactor) / (highFreqFactor - lowFreqFactor);
  return (1 - smooth) * (frequency / factor) + smooth * frequency;
}
