import { cutReport, eighths, shortRows } from '../../src/pattern/cut-report.js';
import { toMask } from '../../src/pattern/mask.js';
import { parsePattern } from '../../src/pattern/schema.js';
import type { Mask } from '../../src/pattern/schema.js';
import { calibratedPattern } from '../helpers/patterns.js';
import { randomGates } from '../helpers/random-gates.js';

const gates = [
  [1, 0.5, 0.5],
  [0.02, 0.507, 0.5],
];

test('a row says where the cut is, how crowded it is, and whether a tie goes through it', () => {
  const { rows } = cutReport({ gates });
  expect(rows.map(({ gateAtCut, within, ties, tieSplit }) => [gateAtCut, within, ties, tieSplit])).toEqual([
    [null, 0, 0, false],
    [1, 1, 1, false],
    [0.507, 4, 1, false],
    [0.5, 4, 3, true],
    [0.5, 4, 3, true],
    [0.5, 4, 3, false],
    [0.02, 1, 1, false],
  ]);
  expect(rows.map(({ fullHeads, retrievalRatio, sparsity }) => [fullHeads, retrievalRatio, sparsity])).toEqual(
    [0, 1, 2, 3, 4, 5, 6].map((k) => [k, k / 6, (6 - k) / 6]),
  );
});

test('settled gates lie below 0.05 or above 0.95, the bounds themselves do not', () => {
  expect(cutReport({ gates: [[0.049, 0.05, 0.95, 0.951, -1, 2]] }).settledShare).toBeCloseTo(4 / 6, 12);
});

test('the share of heads that all seeds, and all checkpoints, keep is counted on their masks', () => {
  const pattern = parsePattern(calibratedPattern(3, 4, 11), 'test');
  const matrices = {
    seedAgreement: pattern.calibration?.seedGates ?? [],
    checkpointAgreement: pattern.calibration?.checkpoints.map((checkpoint) => checkpoint.gates) ?? [],
  };
  const report = cutReport(pattern);
  expect([report.seeds, report.checkpoints]).toEqual([2, 2]);
  for (const [column, all] of Object.entries(matrices) as [keyof typeof matrices, number[][][]][]) {
    for (let k = 1; k <= 12; k++) {
      const masks: Mask[] = all.map((each) => toMask({ gates: each }, { by: 'fullHeads', value: k }));
      const common = masks[0]?.flatMap((row, layer) => row.filter((_, head) => masks.every((mask) => mask[layer]?.[head]))).length ?? 0;
      expect([column, k, report.rows[k]?.[column]]).toEqual([column, k, common / k]);
    }
    expect(report.rows[0]?.[column]).toBeNull();
  }
});

test('nothing is said of agreement where there is one seed and one checkpoint', () => {
  const { calibration, ...rest } = parsePattern(calibratedPattern(), 'test');
  if (calibration === undefined) throw new Error('the pattern is calibrated');
  const { seedGates: _seeds, ...single } = { ...calibration, checkpoints: calibration.checkpoints.slice(1) };
  const { rows } = cutReport({ ...rest, calibration: single });
  expect(rows.every(({ seedAgreement, checkpointAgreement }) => seedAgreement === null && checkpointAgreement === null)).toBe(true);
});

test.each([
  [256, [32, 64, 96, 128, 160, 192, 224]],
  [16, [2, 4, 6, 8, 10, 12, 14]],
  [3, [1, 2]],
  [1, []],
])('the short table of %i heads has rows at eighths', (heads, counts) => {
  expect([...eighths(heads)]).toEqual(counts);
  expect(shortRows(cutReport({ gates: randomGates(1, heads, 3) })).map(({ fullHeads }) => fullHeads)).toEqual([...counts].reverse());
});
