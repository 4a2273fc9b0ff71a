import { initialGates } from '../../src/calibrate/gates.js';
import type { FullBranch } from '../../src/calibrate/two-way.js';
import { twoWayForward, twoWayStep } from '../../src/calibrate/two-way.js';
import { at } from '../../src/errors.js';
import type { ModelConfig } from '../../src/model/config.js';
import { FAMILIES } from '../../src/model/families.js';
import { forward } from '../../src/model/forward.js';
import { describeDevices } from '../helpers/devices.js';
import { seeded, seededInts, tinyModel, TINY_CONFIG } from '../helpers/tiny-model.js';

const window = { sink: 2, recent: 5, block: 1 };
const TOKENS = 40;
const OWN_WINDOWS = { windows: [9, null, 6] };
const labelled = Int32Array.of(20, 21, 30, 38, 39);

function randomGates(seed: number, layers: number): Float32Array[] {
  const random = seeded(seed);
  return Array.from({ length: layers }, () => Float32Array.from({ length: TINY_CONFIG.kvHeads }, () => random()));
}

describeDevices('the two-way pass', (device) => {
  const ids = seededInts(7, TOKENS, TINY_CONFIG.vocab);

  test.each(['own', 'teacher'] as const)('loses nothing with every gate at 1 (%s states)', (fullBranch) => {
    const model = tinyModel(device(), 1);
    const gates = initialGates(model.config.layers, model.config.kvHeads);
    const { distill, gradients } = twoWayStep(model, ids, labelled, gates, { window, fullBranch });
    expect(distill).toBe(0);
    expect(gradients.every((row) => row.every((gradient) => gradient === 0))).toBe(true);
  });

  test('loses nothing with a window that sees everything, whatever the gates', () => {
    const model = tinyModel(device(), 2);
    const wide = { sink: 0, recent: TOKENS, block: 1 };
    const { distill } = twoWayStep(model, ids, labelled, randomGates(3, 3), { window: wide, fullBranch: 'own' });
    expect(distill).toBeLessThan(1e-12);
  });

  const everything = { layers: 2, attentionBias: true, mlpBias: true, noRopeLayers: [1] };

  test.each<[string, FullBranch, Partial<ModelConfig>, number]>([
    ['own states', 'own', {}, 1],
    ["the teacher's output", 'teacher', {}, 1],
    ['a single layer', 'own', { layers: 1 }, 1],
    ['two layers and a block window', 'own', { layers: 2 }, 4],
    ["layers with the model's own window", 'own', OWN_WINDOWS, 1],
    ["such layers, the teacher's output and a block window", 'teacher', OWN_WINDOWS, 4],
    ...FAMILIES.map(({ name }): [string, FullBranch, Partial<ModelConfig>, number] => [name, 'own', { ...everything, family: name }, 1]),
  ])('gives the gradient that finite differences give: %s', (_title, fullBranch, changes, block) => {
    const model = tinyModel(device(), 4, changes);
    const gates = randomGates(5, model.config.layers);
    const options = { window: { ...window, block }, fullBranch };
    const { gradients } = twoWayStep(model, ids, labelled, gates, options);
    const largest = Math.max(...gradients.flatMap((row) => [...row].map(Math.abs)));
    gates.forEach((row, layer) =>
      row.forEach((_gate, head) => {
        const step = 3e-3;
        const lossAt = (change: number): number => {
          const moved = gates.map((values, l) => values.map((value, h) => (l === layer && h === head ? value + change : value)));
          return twoWayStep(model, ids, labelled, moved, options).distill;
        };
        const difference = (lossAt(step) - lossAt(-step)) / (2 * step);
        expect(Math.abs(difference - at(at(gradients, layer), head))).toBeLessThan(5e-3 * largest);
      }),
    );
  });

  test("finds no signal for heads of layers whose own window is not longer than the streaming heads', and some for the others", () => {
    const model = tinyModel(device(), 5, { windows: [5, null, 6] });
    const { gradients } = twoWayStep(model, ids, labelled, randomGates(5, 3), { window, fullBranch: 'own' });
    const [first = [], ...others] = gradients;
    expect(Math.max(...Array.from(first, Math.abs))).toBeLessThan(1e-6 * Math.max(...others.flatMap((row) => Array.from(row, Math.abs))));
    for (const row of others) expect(Math.max(...Array.from(row, Math.abs))).toBeGreaterThan(0);
  });

  test.each([[TOKENS], [TOKENS + 7]])('gives the same bits with windows of %i tokens, which hide nothing, as without', (own) => {
    const options = { window, fullBranch: 'own' } as const;
    const [without, within] = [
      [null, null, null],
      [own, own, own],
    ].map((windows) => twoWayStep(tinyModel(device(), 6, { windows }), ids, labelled, randomGates(8, 3), options));
    expect(within).toEqual(without);
  });

  test("teaches with the model's own windows", () => {
    const model = tinyModel(device(), 6, OWN_WINDOWS);
    const { teacher } = twoWayForward(model, ids, labelled, randomGates(8, 3), { window, fullBranch: 'own' });
    const expected = device().gatherRows(forward(model, ids), labelled);
    const [actual, wanted] = [device().download(teacher), device().download(expected)];
    expect(Math.max(...actual.map((value, i) => Math.abs(value - at(wanted, i))))).toBeLessThan(1e-5);
  });

  test('gives the hidden states of the labelled tokens that all tokens labelled give', () => {
    const model = tinyModel(device(), 6);
    const options = { window, fullBranch: 'own' } as const;
    const every = Int32Array.from({ length: TOKENS }, (_, i) => i);
    const some = twoWayForward(model, ids, labelled, randomGates(8, 3), options);
    const all = twoWayForward(model, ids, every, randomGates(8, 3), options);
    for (const side of ['teacher', 'student'] as const) {
      const rows = device().gatherRows(all[side], labelled);
      const [actual, expected] = [device().download(some[side]), device().download(rows)];
      expect(Math.max(...actual.map((value, i) => Math.abs(value - at(expected, i))))).toBeLessThan(1e-5);
    }
  });

  test('gives the same bits when it is run again, and leaves no tensor behind', () => {
    const model = tinyModel(device(), 9);
    const { tensors } = device().memory();
    const [first, second] = [1, 2].map(() => twoWayStep(model, ids, labelled, randomGates(10, 3), { window, fullBranch: 'own' }));
    expect(second).toEqual(first);
    expect(device().memory().tensors).toBe(tensors);
  });
});
