/** What must hold of the hybrid cache whatever the numbers, over seeded random models, masks, windows and cuts. */
import { HybridCache } from '../../src/cache/hybrid-cache.js';
import type { WindowRule } from '../../src/cache/hybrid-cache.js';
import { uniformMask } from '../../src/cache/uniform-mask.js';
import type { Prefill } from '../../src/config/values.js';
import type { Device, Tensor } from '../../src/device/device.js';
import { decodeStep } from '../../src/evaluate/decode.js';
import { prefill } from '../../src/evaluate/prefill.js';
import { forward } from '../../src/model/forward.js';
import { logits as headLogits } from '../../src/model/layer.js';
import type { Model } from '../../src/model/model.js';
import { CACHE_ELEMENT_BYTES, cacheBytes } from '../../src/pattern/cache-bytes.js';
import { countFull } from '../../src/pattern/mask.js';
import type { Mask } from '../../src/pattern/schema.js';
import { describeDevices } from '../helpers/devices.js';
import { seeded, seededInts, seededMask, tinyModel } from '../helpers/tiny-model.js';

const STREAMING: Prefill = { mode: 'streaming' };
/** Above float32 noise on logits of up to 30, and far below what a key more or less changes (a test below). */
const TOLERANCE = 1e-4;

const SHAPES = [
  { layers: 3, queryHeads: 4, kvHeads: 2 },
  { layers: 3, queryHeads: 3, kvHeads: 3 },
  { layers: 2, queryHeads: 4, kvHeads: 1 },
];

interface Case {
  readonly seed: number;
  readonly shape: (typeof SHAPES)[number];
  readonly mask: Mask;
  readonly window: { readonly sink: number; readonly recent: number };
  readonly tokens: number;
  readonly chunkTokens: number;
}

function caseOf(seed: number): Case {
  const random = seeded(seed + 1);
  const below = (limit: number): number => Math.floor(random() * limit);
  const shape = SHAPES[seed % SHAPES.length] ?? { layers: 1, queryHeads: 1, kvHeads: 1 };
  const window = { sink: below(5), recent: 1 + below(12) };
  return { seed, shape, mask: seededMask(seed, shape), window, tokens: 8 + below(28), chunkTokens: 1 + below(11) };
}

const CASES = Array.from({ length: 6 }, (_, seed) => caseOf(seed));

function allPositions(tokens: number): number[] {
  return Array.from({ length: tokens }, (_, position) => position);
}

function take(device: Device, tensor: Tensor): Float32Array {
  const values = device.download(tensor);
  device.free(tensor);
  return values;
}

function largestDifference(a: Float32Array, b: Float32Array): number {
  expect(a.length).toBe(b.length);
  return a.reduce((largest, value, i) => Math.max(largest, Math.abs(value - (b[i] ?? Number.NaN))), 0);
}

interface Fed {
  readonly cache: HybridCache;
  readonly logits: Float32Array;
}

/** A prompt through a new cache; logits of every position. */
async function prefillAll(model: Model, ids: Int32Array, given: Case, mode: Prefill, chunkTokens: number): Promise<Fed> {
  const { mask, window, tokens } = given;
  const cache = new HybridCache(model.device, model.config, { mask, window, contextTokens: tokens });
  const logits = await prefill(model, cache, ids, { prefill: mode, positions: allPositions(ids.length), chunkTokens });
  return { cache, logits: take(model.device, logits) };
}

/** Logits of the last `count` positions, decoded one by one after the others were prefilled. */
async function decodeLast(model: Model, ids: Int32Array, given: Case, mode: Prefill, count: number, rule: WindowRule): Promise<Fed> {
  const { cache } = await prefillAll(model, ids.subarray(0, ids.length - count), given, mode, given.chunkTokens);
  const steps = [...ids.subarray(ids.length - count)].map((id) => take(model.device, decodeStep(model, cache, id, rule)));
  return { cache, logits: Float32Array.from(steps.flatMap((step) => [...step])) };
}

describeDevices('the hybrid cache', (device) => {
  let models: Model[];
  beforeAll(() => {
    models = CASES.map(({ seed, shape }) => tinyModel(device(), seed, shape));
  });

  function inputs({ seed, tokens }: Case): { model: Model; ids: Int32Array } {
    const model = models[seed];
    if (model === undefined) throw new Error(`no model ${seed}`);
    return { model, ids: seededInts(seed + 100, tokens, model.config.vocab) };
  }

  function expectEqual(a: Fed, b: Fed): void {
    const count = Math.min(a.logits.length, b.logits.length);
    expect(largestDifference(a.logits.slice(-count), b.logits.slice(-count))).toBeLessThan(TOLERANCE);
    for (const { cache } of [a, b]) cache.free();
  }

  test.each(CASES)('an all-retrieval mask equals full attention (seed $seed)', async (given) => {
    const { model, ids } = inputs(given);
    const full = { ...given, mask: uniformMask(model.config, 'retrieval') };
    const { cache, logits } = await prefillAll(model, ids, full, STREAMING, given.chunkTokens);
    const expected = device().scope(() => device().download(headLogits(model, forward(model, ids))));
    expect(largestDifference(logits, expected)).toBeLessThan(TOLERANCE);
    cache.free();
  });

  test.each(CASES)('a streaming prefill in chunks equals one at once (seed $seed)', async (given) => {
    const { model, ids } = inputs(given);
    const once = await prefillAll(model, ids, given, STREAMING, ids.length);
    expectEqual(await prefillAll(model, ids, given, STREAMING, given.chunkTokens), once);
  });

  test.each(CASES)('prefill then decode equals prefill of all (seed $seed)', async (given) => {
    const { model, ids } = inputs(given);
    const all = await prefillAll(model, ids, given, STREAMING, ids.length);
    expectEqual(await decodeLast(model, ids, given, STREAMING, 6, 'exact'), all);
  });

  test.each(CASES)('a token at a time, the reference sees one token more than the exact rule (seed $seed)', async (given) => {
    const { model, ids } = inputs(given);
    const wider = { ...given, window: { ...given.window, recent: given.window.recent + 1 } };
    const reference = await decodeLast(model, ids, given, { mode: 'chunked', chunkTokens: 1 }, 6, 'reference');
    expectEqual(reference, await decodeLast(model, ids, wider, STREAMING, 6, 'exact'));
  });

  test.each(CASES)("a prompt within the reference's first chunk is prefilled densely (seed $seed)", async (given) => {
    const { model, ids } = inputs(given);
    const chunked = await decodeLast(model, ids, given, { mode: 'chunked', chunkTokens: ids.length }, 4, 'exact');
    expectEqual(chunked, await decodeLast(model, ids, given, { mode: 'dense' }, 4, 'exact'));
  });

  test.each(CASES)('measured bytes equal the formula, and no streaming head holds more than sink + recent (seed $seed)', async (given) => {
    const { model, ids } = inputs(given);
    const { mask, window, tokens } = given;
    const full = countFull(mask);
    const shape = { headDim: model.config.headDim, bytesPerElement: CACHE_ELEMENT_BYTES, contextTokens: tokens, ...window };
    const expected = cacheBytes(shape, full, mask.flat().length - full);
    const { cache } = await prefillAll(model, ids.subarray(0, -3), given, STREAMING, given.chunkTokens);
    for (const id of ids.subarray(-3)) {
      expect(cache.bytes).toBe(expected);
      device().free(decodeStep(model, cache, id, 'exact'));
      expect(cache.streamingTokens).toBeLessThanOrEqual(window.sink + window.recent);
    }
    expect(cache.bytes).toBe(expected);
    cache.free();
  });

  test('a window of one token less moves the logits by far more than the tolerance', async () => {
    const given = { ...caseOf(3), mask: uniformMask(caseOf(3).shape, 'streaming'), window: { sink: 2, recent: 6 } };
    const { model, ids } = inputs(given);
    const { cache, logits } = await prefillAll(model, ids, given, STREAMING, given.chunkTokens);
    const narrow = await prefillAll(model, ids, { ...given, window: { sink: 2, recent: 5 } }, STREAMING, given.chunkTokens);
    expect(largestDifference(logits, narrow.logits)).toBeGreaterThan(1000 * TOLERANCE);
    for (const one of [cache, narrow.cache]) one.free();
  });

  test('a cache that was reset gives the same logits again', async () => {
    const given = caseOf(1);
    const { model, ids } = inputs(given);
    const { cache, logits } = await prefillAll(model, ids, given, STREAMING, given.chunkTokens);
    cache.reset();
    const options = { prefill: STREAMING, positions: allPositions(ids.length), chunkTokens: given.chunkTokens };
    expect(take(device(), await prefill(model, cache, ids, options))).toEqual(logits);
    cache.free();
  });

  test.each([
    { mode: STREAMING, rule: 'exact' },
    { mode: { mode: 'dense' }, rule: 'exact' },
    { mode: { mode: 'chunked', chunkTokens: 5 }, rule: 'reference' },
  ] as const)('prefill $mode.mode and decode leave nothing on the device', async ({ mode, rule }) => {
    const given = caseOf(2);
    const { model, ids } = inputs(given);
    // What a device derives from weights on first use stays.
    (await decodeLast(model, ids, given, mode, 4, rule)).cache.free();
    const before = device().memory().tensors;
    (await decodeLast(model, ids, given, mode, 4, rule)).cache.free();
    expect(device().memory().tensors).toBe(before);
  });

  test('more tokens than the cache was made for are an internal error', async () => {
    const given = caseOf(0);
    const { model, ids } = inputs(given);
    const { cache } = await prefillAll(model, ids, given, STREAMING, given.chunkTokens);
    expect(() => decodeStep(model, cache, 0, 'exact')).toThrow(/do not fit/);
    cache.free();
  });
});
