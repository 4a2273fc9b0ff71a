import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { countFull, fullHeadCount, rankHeads, streamingCount, toMask } from '../../src/pattern/mask.js';
import type { Cut } from '../../src/pattern/mask.js';
import { describeShared, SHARED } from '../helpers/paths.js';

const gates = [
  [0.5, 1, 0.25],
  [1, 0.5, -0.001],
];

describe('ranking', () => {
  test('among equal gates the lower layer, then the lower head, stays full longer', () => {
    expect(rankHeads(gates).map(({ layer, head }) => `${layer}.${head}`)).toEqual(['0.1', '1.0', '0.0', '1.1', '0.2', '1.2']);
  });

  test('gates below zero keep their order, although readers clip them', () => {
    expect(toMask({ gates: [[-2e-5, -1e-5, 0]] }, { by: 'fullHeads', value: 2 })).toEqual([[false, true, true]]);
  });

  test('the float32 rows of a calibration are ranked as the rows of a pattern', () => {
    const cut = { by: 'retrievalRatio', value: 0.5 } as const;
    expect(toMask({ gates: gates.map((row) => Float32Array.from(row)) }, cut)).toEqual(toMask({ gates }, cut));
  });
});

describe('counts', () => {
  test.each([1, 2, 3, 5, 7, 12, 16, 112, 256, 1024])('at every ratio k/%i exactly k heads stay full', (heads) => {
    const rows = [new Array<number>(heads).fill(1)];
    for (let k = 0; k <= heads; k++) {
      expect(fullHeadCount(rows, { by: 'retrievalRatio', value: k / heads })).toBe(k);
      expect(fullHeadCount(rows, { by: 'sparsity', value: (heads - k) / heads })).toBe(k);
    }
  });

  // What 1 - ratio is off by must not stream one head more: (11 - 1) x (1 - 0.7) is 3.0000000000000004.
  test.each([
    [11, 0.7, 3],
    [11, 0.9, 1],
    [31, 0.9, 3],
    [101, 0.43, 57],
    [256, 0.4, 153],
    [256, 0.25, 192],
  ])('of %i heads at retrieval ratio %d, %i stream', (heads, ratio, streaming) => {
    expect(heads - fullHeadCount([new Array<number>(heads).fill(1)], { by: 'retrievalRatio', value: ratio })).toBe(streaming);
  });

  test('a sparsity streams ceil((n - 1) s) heads, none at 0 and all at 1', () => {
    expect([0, 0.01, 0.5, 0.51, 0.99, 1].map((sparsity) => streamingCount(9, sparsity))).toEqual([0, 1, 4, 5, 8, 9]);
  });

  test.each([
    [0, 6],
    [0.25, 5],
    [0.5, 4],
    [0.50001, 2],
    [1, 2],
  ])('a threshold of %d keeps %i of the six heads', (threshold, full) => {
    expect(fullHeadCount(gates, { by: 'threshold', value: threshold })).toBe(full);
  });

  test('a threshold keeps a gate that was printed as the same decimal', () => {
    expect(fullHeadCount([[Math.fround(0.9)]], { by: 'threshold', value: 0.9 })).toBe(1);
  });

  test.each([
    ['retrievalRatio', 1.1],
    ['sparsity', -0.1],
    ['threshold', Number.NaN],
    ['fullHeads', 7],
    ['fullHeads', 1.5],
  ] as const)('%s %d is refused', (by, value) => {
    expect(() => fullHeadCount(gates, { by, value })).toThrow(`${by} is out of range`);
  });
});

interface GoldenMask {
  readonly file: string;
  readonly sparsity?: number;
  readonly threshold?: number;
  readonly mask: readonly (readonly number[])[];
  readonly real_sparsity: number;
}

describeShared('golden masks', () => {
  const folder = join(SHARED, 'golden', 'patterns');
  const rowsOf = (file: string): number[][] =>
    readFileSync(join(folder, file), 'utf8')
      .trim()
      .split('\n')
      .map((line) => line.split('\t').map((cell) => Math.fround(Number(cell))));

  test('every mask by sparsity and by threshold is the reference quantile mask', () => {
    const cases = JSON.parse(readFileSync(join(folder, 'expected.json'), 'utf8')) as GoldenMask[];
    expect(cases.length).toBeGreaterThan(40);
    for (const { file, sparsity, threshold, mask, real_sparsity } of cases) {
      const cut: Cut = sparsity === undefined ? { by: 'threshold', value: threshold ?? 0 } : { by: 'sparsity', value: sparsity };
      const ours = toMask({ gates: rowsOf(file) }, cut);
      expect({ file, cut, mask: ours.map((row) => row.map(Number)) }).toEqual({ file, cut, mask });
      expect(1 - countFull(ours) / mask.flat().length).toBeCloseTo(real_sparsity, 12);
    }
  });
});
