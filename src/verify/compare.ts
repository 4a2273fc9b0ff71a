/** One tensor against its golden: how far it is off at most, where, and whether that is allowed. */
import { at, InputError } from '../errors.js';
import type { GoldenTensor } from './dump.js';

/** How a difference is measured; every limit is included. */
export type Rule =
  | { readonly measure: 'absolute'; readonly limit: number }
  /** Relative to the largest golden value of the tensor. */
  | { readonly measure: 'of largest'; readonly limit: number }
  /** Relative to each golden value, those below `floor` counting as `floor`. */
  | { readonly measure: 'relative'; readonly limit: number; readonly floor: number };

/** Hidden states between layers grow to hundreds: relative to the largest. */
export const RESIDUAL_RULE: Rule = { measure: 'of largest', limit: 1e-5 };
/** Gradients of the gates: every layer they pass adds its own rounding, and such errors add up as their squares do. */
export function gradientRule(layers: number): Rule {
  return { measure: 'of largest', limit: 5e-6 * Math.sqrt(layers) };
}

export const GATE_RULE: Rule = { measure: 'absolute', limit: 1e-5 };
/** Losses: 1e-3 relative, or 1e-7. */
export const LOSS_RULE: Rule = { measure: 'relative', limit: 1e-3, floor: 1e-4 };

/** Widened weights: one rounding to float32. */
export const STORED_RULE: Rule = { measure: 'relative', limit: 2e-7, floor: 2 ** -126 };

export interface Comparison {
  readonly tensor: string;
  readonly elements: number;
  readonly measure: Rule['measure'] | 'ids that differ';
  /** The largest difference in that measure, and what is allowed. */
  readonly difference: number;
  readonly limit: number;
  readonly passed: boolean;
  /** The element that is furthest off. */
  readonly worst: { readonly index: readonly number[]; readonly expected: number; readonly actual: number };
}

/** @throws InputError when the number of elements differs: the dump is of another model then. */
export function compareFloats(golden: GoldenTensor<Float32Array>, actual: ArrayLike<number>, rule: Rule): Comparison {
  const { difference, index } = largest(golden, actual, scaleOf(golden.values, rule));
  return { ...describe(golden, actual, index), measure: rule.measure, difference, limit: rule.limit, passed: difference <= rule.limit };
}

/** Ids must be equal; `worst` is the first that is not. */
export function compareIds(golden: GoldenTensor<Int32Array>, actual: ArrayLike<number>): Comparison {
  checkSize(golden, actual);
  const wrong = [...golden.values.keys()].filter((index) => golden.values[index] !== actual[index]);
  const row = describe(golden, actual, wrong[0] ?? 0);
  return { ...row, measure: 'ids that differ', difference: wrong.length, limit: 0, passed: wrong.length === 0 };
}

function largest(golden: GoldenTensor<Float32Array>, actual: ArrayLike<number>, scale: (expected: number) => number) {
  checkSize(golden, actual);
  let difference = 0;
  let index = 0;
  golden.values.forEach((expected, i) => {
    const distance = Math.abs(at(actual, i) - expected) / scale(expected);
    const own = Number.isNaN(distance) ? Infinity : distance;
    if (own > difference) [difference, index] = [own, i];
  });
  return { difference, index };
}

function scaleOf(values: Float32Array, rule: Rule): (expected: number) => number {
  switch (rule.measure) {
    case 'absolute':
      return () => 1;
    case 'of largest': {
      const top = values.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
      return () => top || 1;
    }
    case 'relative':
      return (expected) => Math.max(Math.abs(expected), rule.floor);
    default:
      return rule satisfies never;
  }
}

function checkSize(golden: GoldenTensor<ArrayLike<number>>, actual: ArrayLike<number>): void {
  if (golden.values.length === actual.length) return;
  throw new InputError({
    code: 'golden_shape',
    what: `tensor ${golden.name} has ${golden.values.length} elements in the dump and ${actual.length} here: it is of another model`,
    given: `shape [${golden.shape.join(', ')}]`,
  });
}

function describe(golden: GoldenTensor<ArrayLike<number>>, actual: ArrayLike<number>, index: number) {
  const elements = golden.values.length;
  const worst = { index: indexIn(golden.shape, index), expected: golden.values[index] ?? 0, actual: actual[index] ?? 0 };
  return { tensor: golden.name, elements, worst };
}

/** Position of a flat index in a row-major shape. */
function indexIn(shape: readonly number[], flat: number): number[] {
  const index: number[] = [];
  let rest = flat;
  for (const size of [...shape].reverse()) {
    index.unshift(size === 0 ? 0 : rest % size);
    rest = size === 0 ? 0 : Math.floor(rest / size);
  }
  return index;
}
