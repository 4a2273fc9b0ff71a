import { checkMemory, planMemory, stepBytes } from '../../src/calibrate/memory.js';
import { twoWayStep } from '../../src/calibrate/two-way.js';
import { MemoryError } from '../../src/errors.js';
import { describeDevices } from '../helpers/devices.js';
import { seeded, seededInts, tinyModel } from '../helpers/tiny-model.js';
import { noWindows } from '../../src/model/read-layers.js';

describeDevices('the memory plan', (device) => {
  test.each([
    [512, 100, 4],
    [300, 300, 2],
    [700, 20, 5],
  ])('counts the tensors of a step of %i tokens, %i labelled, %i layers, within 15 %%', (contextTokens, labelledTokens, layers) => {
    const model = tinyModel(device(), 1, { layers, hidden: 64, intermediate: 96, queryHeads: 8, kvHeads: 4, headDim: 16 });
    const random = seeded(2);
    const gates = Array.from({ length: layers }, () => Float32Array.from({ length: 4 }, () => random()));
    const ids = seededInts(3, contextTokens, model.config.vocab);
    const labelled = Int32Array.from({ length: labelledTokens }, (_, i) => contextTokens - labelledTokens + i);
    const step = () => twoWayStep(model, ids, labelled, gates, { window: { sink: 4, recent: 16, block: 1 }, fullBranch: 'own' });
    // The first step of wasm makes transposed copies of the weights.
    step();
    const before = device().memory().bytes;
    device().resetPeak();
    step();
    const measured = device().memory().peakBytes - before;
    const planned = stepBytes(model.config, { contextTokens, labelledTokens });
    expect(planned / measured).toBeGreaterThan(0.95);
    expect(planned / measured).toBeLessThan(1.15);
  });
});

describe('checkMemory', () => {
  const config = { layers: 32, hidden: 4096, intermediate: 14_336, queryHeads: 32, kvHeads: 8, headDim: 128 };
  const model = {
    family: 'llama',
    vocab: 128_256,
    maxPositions: 131_072,
    rmsNormEps: 1e-5,
    ropeTheta: 5e5,
    ropeScaling: { type: 'default' },
    tied: false,
    attentionBias: false,
    mlpBias: false,
    windows: noWindows(config.layers),
    noRopeLayers: [],
    ...config,
  } as const;

  test('refuses what does not fit with exit 5, naming the setting to change', () => {
    const plan = planMemory(model, 32e9, { contextTokens: 32_000, labelledTokens: 3000 }, 64e9);
    let thrown: unknown;
    try {
      checkMemory(plan, 32_000);
    } catch (error) {
      thrown = error;
    }
    expect(thrown).toBeInstanceOf(MemoryError);
    expect(thrown).toMatchObject({ exitCode: 5, facts: { hint: expect.stringContaining('--max-tokens') as string } });
  });

  test('lets pass what fits', () => {
    expect(() => checkMemory(planMemory(model, 32e9, { contextTokens: 1000, labelledTokens: 100 }, 64e9), 1000)).not.toThrow();
  });
});
