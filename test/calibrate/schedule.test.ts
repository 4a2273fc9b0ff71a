import { adamStep, initialAdam } from '../../src/calibrate/adamw.js';
import { clamped, settledShare, throughClamp } from '../../src/calibrate/gates.js';
import { regularization, regularizationGradient } from '../../src/calibrate/loss.js';
import { learningRateFactor } from '../../src/calibrate/schedule.js';

describe('the learning rate', () => {
  // Values of the published schedule with 2,000 steps: 0.002 until step 39, 0.02 from 399 to 1600, 0.002 from 1960.
  test.each([
    [0, 0.1],
    [39, 0.1],
    [199, 0.5],
    [399, 1],
    [1600, 1],
    [1800, 0.5],
    [1960, 0.1],
    [1999, 0.1],
  ])('at step %i of 2,000 is %f of the highest', (step, factor) => {
    expect(learningRateFactor(step, 2000)).toBeCloseTo(factor, 12);
  });
});

describe('AdamW', () => {
  test('moves by the learning rate against the gradient at first', () => {
    const { parameters } = adamStep([1, 1], [0.5, -3], initialAdam(2), 0.02);
    expect(parameters[0]).toBeCloseTo(0.98, 6);
    expect(parameters[1]).toBeCloseTo(1.02, 6);
  });

  test('agrees with the recurrence written out for two steps', () => {
    const first = adamStep([0.5], [0.1], initialAdam(1), 0.01);
    const { parameters } = adamStep(first.parameters, [0.3], first.state, 0.01);
    const mean = 0.9 * (0.1 * 0.1) + 0.1 * 0.3;
    const square = 0.999 * (0.001 * 0.01) + 0.001 * 0.09;
    const expected = 0.49 - (0.01 * (mean / (1 - 0.81))) / (Math.sqrt(square / (1 - 0.999 ** 2)) + 1e-8);
    expect(parameters[0]).toBeCloseTo(expected, 6);
  });
});

describe('gates', () => {
  const gates = [Float32Array.of(-0.1, 0, 0.5), Float32Array.of(1, 1.1, 0.97)];

  test('are clamped to [0, 1], with gradient 1 on the closed interval', () => {
    expect(clamped(gates).map((row) => [...row])).toEqual([
      [0, 0, 0.5],
      [1, 1, Math.fround(0.97)],
    ]);
    const ones = gates.map((row) => row.map(() => 1));
    expect(throughClamp(gates, ones).map((row) => [...row])).toEqual([
      [0, 1, 1],
      [1, 0, 1],
    ]);
  });

  test('are settled below 0.05 and above 0.95', () => {
    expect(settledShare(gates)).toBeCloseTo(5 / 6, 12);
  });

  test('are penalised by the mean of their absolute values', () => {
    expect(regularization(gates, 0.05)).toBeCloseTo((0.05 * 3.67) / 6, 7);
    expect(regularizationGradient(gates, 0.06).map((row) => [...row].map((value) => Math.round(value * 1e6) / 1e6))).toEqual([
      [-0.01, 0, 0.01],
      [0.01, 0.01, 0.01],
    ]);
  });
});
