import { InputError } from '../../src/errors.js';
import { compareFloats, compareIds, LOSS_RULE } from '../../src/verify/compare.js';

const golden = { name: 'x', shape: [2, 2], values: Float32Array.of(1, -200, 3, 0) };

describe('compareFloats', () => {
  test('finds the element that is furthest off, and where', () => {
    expect(compareFloats(golden, [1, -200.5, 3, 0.25], { measure: 'absolute', limit: 0.5 })).toEqual({
      tensor: 'x',
      elements: 4,
      measure: 'absolute',
      difference: 0.5,
      limit: 0.5,
      passed: true,
      worst: { index: [0, 1], expected: -200, actual: -200.5 },
    });
  });

  test('measures against the largest value', () => {
    expect(compareFloats(golden, [1, -200, 3.002, 0], { measure: 'of largest', limit: 1.1e-5 })).toMatchObject({ passed: true });
    expect(compareFloats(golden, [1, -200, 3.003, 0], { measure: 'of largest', limit: 1.1e-5 })).toMatchObject({ passed: false });
  });

  test('allows a loss 1e-3 of itself, or 1e-7', () => {
    const loss = { name: 'loss', shape: [1], values: Float32Array.of(0.5) };
    expect(compareFloats(loss, [0.5004], LOSS_RULE).passed).toBe(true);
    expect(compareFloats(loss, [0.5006], LOSS_RULE).passed).toBe(false);
    const none = { name: 'loss', shape: [1], values: Float32Array.of(0) };
    expect(compareFloats(none, [0.9e-7], LOSS_RULE).passed).toBe(true);
    expect(compareFloats(none, [1.1e-7], LOSS_RULE).passed).toBe(false);
  });

  test.each([[Number.NaN], [Infinity]])('never passes %s', (wrong) => {
    expect(compareFloats(golden, [1, -200, wrong, 0], { measure: 'absolute', limit: 1e9 })).toMatchObject({
      passed: false,
      difference: Infinity,
      worst: { index: [1, 0] },
    });
  });

  test('refuses another number of elements', () => {
    expect(() => compareFloats(golden, [1, 2, 3], { measure: 'absolute', limit: 1 })).toThrow(InputError);
  });
});

describe('compareIds', () => {
  const ids = { name: 'ids', shape: [3], values: Int32Array.of(5, 6, 7) };

  test('passes equal ids only, and shows the first that is wrong', () => {
    expect(compareIds(ids, [5, 6, 7])).toMatchObject({ passed: true, difference: 0 });
    expect(compareIds(ids, [5, 9, 8])).toMatchObject({ passed: false, difference: 2, worst: { index: [1], expected: 6, actual: 9 } });
  });
});
