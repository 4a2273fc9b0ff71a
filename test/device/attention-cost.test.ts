/** What attention costs, counted in the bytes its kernels make: no clock, the same on every machine. */
import * as tf from '@tensorflow/tfjs';
import type { Device, Window } from '../../src/device/device.js';
import { describeDevices } from '../helpers/devices.js';
import { upload } from '../helpers/device-values.js';
import { backward, forward, makeData, uploadInputs, type AttentionCase } from './attention-cases.js';

const HEADS = { heads: 4, kvHeads: 2, headDim: 8 };
const WINDOW: Window = { sink: 16, recent: 48, block: 1 };
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
