import { comparePatterns, flippedHeads } from '../../src/pattern/compare.js';
import { toMask } from '../../src/pattern/mask.js';
import { randomGates } from '../helpers/random-gates.js';

const a = { gates: randomGates(4, 8, 1) };
const b = { gates: randomGates(4, 8, 2) };

/** Spearman with ties, the plain way: a rank is one more than the smaller values plus half of the other equal ones. */
function spearman(x: readonly number[], y: readonly number[]): number {
  const rank = (values: readonly number[]): number[] =>
    values.map((value) => 1 + values.filter((other) => other < value).length + (values.filter((other) => other === value).length - 1) / 2);
  return pearson(rank(x), rank(y));
}

/** Pearson by its textbook sums. */
function pearson(x: readonly number[], y: readonly number[]): number {
  const n = x.length;
  const sum = (values: readonly number[]): number => values.reduce((total, value) => total + value, 0);
  const product = (p: readonly number[], q: readonly number[]): number => sum(p.map((value, i) => value * (q[i] ?? NaN)));
  const [sx, sy] = [sum(x), sum(y)];
  return (n * product(x, y) - sx * sy) / Math.sqrt((n * product(x, x) - sx * sx) * (n * product(y, y) - sy * sy));
}

test('correlations are those of the textbook, over all heads and over those above 0.01 in either', () => {
  const [x, y] = [a.gates.flat(), b.gates.flat()];
  const active = x.map((gate, i) => Math.max(gate, y[i] ?? NaN) > 0.01);
  const comparison = comparePatterns(a, b);
  expect(comparison.spearman).toBeCloseTo(spearman(x, y), 10);
  expect(comparison.pearson).toBeCloseTo(pearson(x, y), 10);
  const pick = (values: readonly number[]): number[] => values.filter((_, i) => active[i]);
  expect(comparison.activeHeads).toBe(pick(x).length);
  expect(comparison.activeHeads).toBeLessThan(32);
  expect(comparison.spearmanActive).toBeCloseTo(spearman(pick(x), pick(y)), 10);
});

test('overlap and flips at every ratio are those of the two masks', () => {
  comparePatterns(a, b).rows.forEach(({ fullHeads, jaccard, flips }) => {
    const [inA, inB] = [a, b].map((pattern) => toMask(pattern, { by: 'fullHeads', value: fullHeads }).flat());
    const both = inA?.filter((full, i) => full && inB?.[i]).length ?? NaN;
    const either = inA?.filter((full, i) => full || inB?.[i]).length ?? NaN;
    expect([fullHeads, jaccard, flips]).toEqual([fullHeads, either === 0 ? 1 : both / either, either - both]);
    expect(flippedHeads(a, b, fullHeads)).toHaveLength(flips);
  });
});

test('a flip names its place, both gates, and the pattern that keeps the head', () => {
  expect(flippedHeads({ gates: [[0.9, 0.1]] }, { gates: [[0.2, 0.3]] }, 1)).toEqual([
    { layer: 0, head: 0, gates: [0.9, 0.2], fullIn: 'a' },
    { layer: 0, head: 1, gates: [0.1, 0.3], fullIn: 'b' },
  ]);
});

test('a pattern is like itself in every way', () => {
  const comparison = comparePatterns(a, a);
  expect(comparison.spearman).toBeCloseTo(1, 12);
  expect(comparison.largestDifference).toBe(0);
  expect(comparison.rows.every(({ jaccard, flips }) => jaccard === 1 && flips === 0)).toBe(true);
});

test('a correlation with a pattern of one value is not a number but null', () => {
  expect(comparePatterns({ gates: [[1, 1]] }, { gates: [[0.3, 1]] })).toMatchObject({ spearman: null, pearson: null });
});

test('patterns of different shapes are refused', () => {
  expect(() => comparePatterns(a, { gates: randomGates(8, 4, 1) })).toThrow('different shapes');
});
