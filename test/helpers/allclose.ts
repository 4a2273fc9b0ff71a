/**
 * `expect(actual).toBeAllclose(expected, { dtype, length })`: equal within what rounding explains.
 *
 * A sum of `length` products whose every step rounds by at most eps / 2 is off by about eps sqrt(length) times the size of
 * its terms; that size is taken as the largest expected element, or `magnitude` if larger. SLACK covers the few operations
 * around the sum. A failure names the worst element and says how much of its tolerance it used.
 */
export interface Closeness {
  /** Of the values computed. */
  readonly dtype: keyof typeof EPSILON;
  /** Longest sum behind one element. */
  readonly length: number;
  /** Size of the terms summed, where they cancel to something smaller; at least the largest expected element is assumed. */
  readonly magnitude?: number;
}

const EPSILON = { f32: 2 ** -23, bf16: 2 ** -7 } as const;
const SLACK = 4;

declare global {
  // Jest's types offer no other way to add a matcher.
  // eslint-disable-next-line @typescript-eslint/no-namespace
  namespace jest {
    interface Matchers<R> {
      toBeAllclose(expected: ArrayLike<number>, closeness: Closeness): R;
    }
  }
}

interface Worst {
  readonly index: number;
  readonly actual: number;
  readonly expected: number;
  readonly tolerance: number;
  /** Of the tolerance; above 1 is a failure. */
  readonly share: number;
}

/** The element that uses the largest share of its tolerance; NaN anywhere counts as infinitely far. */
export function worstElement(actual: ArrayLike<number>, expected: ArrayLike<number>, closeness: Closeness): Worst {
  let magnitude = closeness.magnitude ?? 0;
  for (let i = 0; i < expected.length; i++) magnitude = Math.max(magnitude, Math.abs(expected[i] ?? 0));
  const tolerance = SLACK * EPSILON[closeness.dtype] * Math.sqrt(closeness.length) * magnitude;
  let [index, share] = [0, 0];
  for (let i = 0; i < expected.length; i++) {
    const used = shareUsed(actual[i] ?? NaN, expected[i] ?? NaN, tolerance);
    if (used > share) [index, share] = [i, used];
  }
  return { index, actual: actual[index] ?? NaN, expected: expected[index] ?? NaN, tolerance, share };
}

function shareUsed(actual: number, expected: number, tolerance: number): number {
  if (actual === expected) return 0;
  const share = Math.abs(actual - expected) / tolerance;
  return Number.isNaN(share) ? Infinity : share;
}

expect.extend({
  toBeAllclose(actual: ArrayLike<number>, expected: ArrayLike<number>, closeness: Closeness) {
    if (actual.length !== expected.length) {
      return { pass: false, message: () => `expected ${expected.length} elements, got ${actual.length}` };
    }
    const worst = worstElement(actual, expected, closeness);
    return { pass: worst.share <= 1, message: () => describeWorst(worst) };
  },
});

function describeWorst({ index, actual, expected, tolerance, share }: Worst): string {
  const percent = (100 * share).toPrecision(3);
  return `element ${index} is ${actual} and should be ${expected}: off by ${Math.abs(actual - expected)}, ${percent} % of its tolerance ${tolerance}`;
}
