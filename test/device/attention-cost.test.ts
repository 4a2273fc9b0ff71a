/** What attention costs, counted in the bytes its kernels make: no clock, the same on every machine. */
import * as tf from '@tensorflow/tfjs';
import type { Device, Tensor, Window } from '../../src/device/device.js';
import { at } from '../../src/errors.js';
import { describeDevices } from '../helpers/devices.js';
import { upload } from '../helpers/device-values.js';
import { backward, forward, makeData, uploadInputs, type AttentionCase } from './attention-cases.js';

const HEADS = { heads: 4, kvHeads: 2, headDim: 8 };
const WINDOW: Window = { sink: 16, recent: 48, block: 1 };
/** Its recent keys are all there are, and the model's window leaves few of them. */
const REACHING: Window = { sink: 16, recent: 4096, block: 1, reach: 64 };
const BYTES_PER_SCORE = 4;

interface Cost {
  /** Bytes of every tensor made, freed or not. */
  readonly madeBytes: number;
  /** Most bytes held at once, beyond those held before. */
  readonly peakBytes: number;
}

describeDevices(
  'the cost of attention',
  (device) => {
    test('grows with the tokens for streaming heads', async () => {
      const [short, long] = [await measure(device(), 1024, WINDOW), await measure(device(), 4096, WINDOW)];
      expect(long.madeBytes / short.madeBytes).toBeLessThan(4.2);
      expect(long.peakBytes / short.peakBytes).toBeLessThan(4.2);
    });
    test("grows with the tokens in a layer with the model's own window", async () => {
      const [short, long] = [await measure(device(), 1024, REACHING), await measure(device(), 4096, REACHING)];
      expect(long.madeBytes / short.madeBytes).toBeLessThan(4.2);
      expect(long.peakBytes / short.peakBytes).toBeLessThan(4.2);
    });
    test('of a prefill over a hybrid cache grows with the tokens that a window shows', async () => {
      const [short, long] = [await hybridBytes(device(), 1024), await hybridBytes(device(), 4096)];
      expect(long / short).toBeLessThan(4.2);
    });
    test('is bounded in memory for full heads: far from a matrix of all scores', async () => {
      const denseBytes = HEADS.heads * 3072 * 3072 * BYTES_PER_SCORE;
      const { peakBytes } = await measure(device(), 3072);
      expect(peakBytes).toBeLessThan(denseBytes / 2);
    });
  },
  'plain',
);

/** Forward and backward. */
async function measure(device: Device, tokens: number, window?: Window): Promise<Cost> {
  const one: AttentionCase = { ...HEADS, tokens, ...(window ? { window } : {}) };
  const data = makeData(1, one);
  const before = tf.memory().numBytes;
  const profile = await tf.profile(() => {
    device.scope(() => {
      const inputs = uploadInputs(device, data);
      backward(device, upload(device, data.dOut), inputs, forward(device, inputs, one), one);
    });
    return [];
  });
  const madeBytes = profile.kernels.reduce((sum, kernel) => sum + Math.max(0, kernel.bytesAdded), 0);
  return { madeBytes, peakBytes: profile.peakBytes - before };
}

/** Bytes of every tensor made by a prefill of all tokens at once, with and without positions given. */
async function hybridBytes(device: Device, tokens: number): Promise<number> {
  const { q, k, v } = makeData(1, { ...HEADS, tokens });
  const profile = await tf.profile(() => {
    device.scope(() => {
      const [queries, keys, values] = [upload(device, q), upload(device, k), upload(device, v)];
      const head = (x: Tensor, n: number): Tensor => device.gatherHeads(x, [n]);
      const groups = [0, 1].map((n) => ({ kvHeads: [n], k: head(keys, n), v: head(values, n), keyCount: tokens, window: REACHING }));
      const [first, second] = [at(groups, 0), { ...at(groups, 1), keyPositions: Int32Array.from({ length: tokens }, (_, i) => i) }];
      device.hybridAttention(queries, [first, second], 0);
    });
    return [];
  });
  return profile.kernels.reduce((sum, kernel) => sum + Math.max(0, kernel.bytesAdded), 0);
}
