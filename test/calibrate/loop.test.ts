import { initialState, runLoop } from '../../src/calibrate/loop.js';
import type { LoopState } from '../../src/calibrate/loop.js';
import { loadCheckpoint, saveCheckpoint } from '../../src/calibrate/checkpoint.js';
import type { CalibrationSample } from '../../src/calibrate/sample.js';
import { resolveSettings } from '../../src/calibrate/settings.js';
import { InterruptedError } from '../../src/errors.js';
import { describeDevices } from '../helpers/devices.js';
import { temporaryFolder } from '../helpers/temporary.js';
import { seededInts, tinyModel } from '../helpers/tiny-model.js';

const folder = temporaryFolder();
const settings = resolveSettings(
  { steps: 12, minTokens: 64, maxTokens: 64, sink: 2, recent: 6, validateEvery: 0, saveEvery: 5, learningRate: 0.05 },
  { id: 'tiny', maxPositions: 4096 },
  () => undefined,
);

function sampleAt(index: number): CalibrationSample {
  const labels = new Uint8Array(64).fill(1, 40);
  return { ids: seededInts(100 + index, 64, 61), labels, answer: labels };
}

describeDevices('the calibration loop', (device) => {
  test('moves the gates and gives the same bits for the same samples', async () => {
    const model = tinyModel(device(), 1);
    const [first, second] = [
      await runLoop(model, settings, sampleAt, initialState(3, 2)),
      await runLoop(model, settings, sampleAt, initialState(3, 2)),
    ];
    expect(first.step).toBe(12);
    expect(Math.min(...first.gates)).toBeLessThan(0.97);
    expect(second).toEqual(first);
  });

  test('goes on from any checkpoint to the same bits', async () => {
    const model = tinyModel(device(), 2);
    const saved: LoopState[] = [];
    const straight = await runLoop(model, settings, sampleAt, initialState(3, 2), { save: (state) => saved.push(state) });
    expect(saved.map(({ step }) => step)).toEqual([5, 10, 12]);
    for (const state of saved) {
      saveCheckpoint(folder, 3, 'key', state);
      const restored = loadCheckpoint(folder, 3, 'key');
      expect(restored).toEqual(state);
      expect(await runLoop(model, settings, sampleAt, restored ?? initialState(3, 2))).toEqual(straight);
    }
  });

  test('saves and says how to go on when it is interrupted', async () => {
    const model = tinyModel(device(), 3);
    const interrupt = new AbortController();
    const saved: LoopState[] = [];
    const run = runLoop(model, settings, sampleAt, initialState(3, 2), {
      signal: interrupt.signal,
      save: (state) => saved.push(state),
      onStep: ({ step }) => (step === 3 ? interrupt.abort() : undefined),
    });
    await expect(run).rejects.toThrow(InterruptedError);
    expect(saved.map(({ step }) => step)).toEqual([3]);
  });
});

describe('a checkpoint', () => {
  test('of other settings is not taken', () => {
    saveCheckpoint(folder, 1, 'one', initialState(2, 2));
    expect(loadCheckpoint(folder, 1, 'other')).toBeUndefined();
    expect(loadCheckpoint(folder, 2, 'one')).toBeUndefined();
    expect(loadCheckpoint(folder, 1, 'one')).toEqual(initialState(2, 2));
  });
});
