/**
 * The hybrid cache of models whose layers have windows of their own, against attention written as a plain mask in float64: no cache, no ring,
 * no chunks. Windows are longer and shorter than sinks, recent keys, both together, chunks, and the context.
 */
import { HybridCache } from '../../src/cache/hybrid-cache.js';
import type { WindowRule } from '../../src/cache/hybrid-cache.js';
import { uniformMask } from '../../src/cache/uniform-mask.js';
import type { Prefill } from '../../src/config/values.js';
import type { Device, Tensor } from '../../src/device/device.js';
import { at } from '../../src/errors.js';
import { decodeStep } from '../../src/evaluate/decode.js';
import { prefill } from '../../src/evaluate/prefill.js';
import { forward } from '../../src/model/forward.js';
import { logits as headLogits } from '../../src/model/layer.js';
import type { Model } from '../../src/model/model.js';
import { CACHE_ELEMENT_BYTES, maskBytes } from '../../src/pattern/cache-bytes.js';
import type { Mask } from '../../src/pattern/schema.js';
import { describeDevices } from '../helpers/devices.js';
import { attention } from '../helpers/reference.js';
import { seeded, seededInts, seededMask, tinyModel } from '../helpers/tiny-model.js';

/** As in invariants.test.ts: above float32 noise, far below what a key more or less changes (a test below). */
const TOLERANCE = 1e-4;
const LAYERS = 4;
const SHAPE = { layers: LAYERS, queryHeads: 4, kvHeads: 2 };

interface Case {
  readonly seed: number;
  readonly windows: readonly (number | null)[];
  readonly mask: Mask;
  readonly window: { readonly sink: number; readonly recent: number };
  readonly tokens: number;
  /** Of these, the prompt; the others are decoded. */
  readonly promptTokens: number;
  readonly chunkTokens: number;
}

function caseOf(seed: number): Case {
  const random = seeded(seed + 50);
  const between = (low: number, high: number): number => low + Math.floor(random() * (high - low + 1));
  const window = { sink: between(1, 5), recent: between(1, 9) };
  const held = window.sink + window.recent;
  const tokens = between(30, 45);
  const own = [between(1, window.sink), between(window.sink, held), held, between(held + 1, tokens - 1), tokens, tokens + 9, null, null];
  const windows = Array.from({ length: LAYERS }, (_, layer) => own[(3 * seed + layer * (1 + (seed % 3))) % own.length] ?? null);
  return {
    seed,
    windows,
    mask: seededMask(seed, SHAPE),
    window,
    tokens,
    promptTokens: tokens - between(6, 12),
    chunkTokens: between(2, 14),
  };
}

/** Four have every kind of window in some layer; DUO_TEST_SLOW=1 doubles them. */
const SOME_CASES = Array.from({ length: 4 }, (_, seed) => caseOf(seed));
const CASES = process.env['DUO_TEST_SLOW'] === '1' ? [...SOME_CASES, ...Array.from({ length: 4 }, (_, n) => caseOf(4 + n))] : SOME_CASES;

/** How a context is fed. */
interface Mode {
  readonly title: string;
  readonly prefill: (given: Case) => Prefill;
  readonly decode: WindowRule;
}

const chunked = ({ chunkTokens }: Case): Prefill => ({ mode: 'chunked', chunkTokens });
const MODES: readonly Mode[] = [
  { title: 'streaming, then exact', prefill: () => ({ mode: 'streaming' }), decode: 'exact' },
  { title: 'dense, then exact', prefill: () => ({ mode: 'dense' }), decode: 'exact' },
  { title: 'dense, then the reference rule', prefill: () => ({ mode: 'dense' }), decode: 'reference' },
  { title: 'chunked, then exact', prefill: chunked, decode: 'exact' },
  { title: 'chunked, then the reference rule', prefill: chunked, decode: 'reference' },
];

/** Whether a streaming head's query sees a key, before the model's own window has its say. */
function streamingSees(given: Case, mode: Mode, query: number, key: number): boolean {
  const { promptTokens, chunkTokens } = given;
  const { sink, recent } = given.window;
  const exact = key < sink || query - key < recent;
  // Sink and recent cached before the chunk, and the chunk.
  const reference = (chunkStart: number): boolean => key < sink || key >= chunkStart - recent;
  if (query >= promptTokens) return mode.decode === 'exact' ? exact : reference(query);
  switch (mode.prefill(given).mode) {
    case 'streaming':
      return exact;
    case 'dense':
      return true;
    case 'chunked':
      return reference(query - (query % chunkTokens));
  }
}

/** Logits of all tokens at once, each head with its mask. */
function masked(model: Model, ids: Int32Array, given: Case, mode: Mode): Float32Array {
  const { device, config } = model;
  const shape = { heads: config.queryHeads, kvHeads: config.kvHeads, headDim: config.headDim };
  return device.scope(() => {
    const hidden = forward(model, ids, {
      attend: (layer, { q, k, v }) => {
        const own = at(given.windows, layer) ?? Infinity;
        const retrieval = at(given.mask, layer);
        const sees = (query: number, key: number, kvHead: number): boolean =>
          key <= query && query - key < own && (at(retrieval, kvHead) || streamingSees(given, mode, query, key));
        const { out } = attention(device.download(q), device.download(k), device.download(v), shape, sees);
        return device.upload(Float32Array.from(out), q.shape);
      },
    });
    return device.download(headLogits(model, hidden));
  });
}

function take(device: Device, tensor: Tensor): Float32Array {
  const values = device.download(tensor);
  device.free(tensor);
  return values;
}

/** Logits of all tokens, the prompt's prefilled and the others decoded; `watch` is called after every step. */
async function fed(model: Model, ids: Int32Array, given: Case, mode: Mode, watch?: (cache: HybridCache) => void): Promise<Float32Array> {
  const { mask, window, tokens, promptTokens, chunkTokens } = given;
  const cache = new HybridCache(model.device, model.config, { mask, window, contextTokens: tokens });
  const positions = Array.from({ length: promptTokens }, (_, position) => position);
  const options = { prefill: mode.prefill(given), positions, chunkTokens };
  const parts = [take(model.device, await prefill(model, cache, ids.subarray(0, promptTokens), options))];
  for (const id of ids.subarray(promptTokens)) {
    watch?.(cache);
    parts.push(take(model.device, decodeStep(model, cache, id, mode.decode)));
  }
  watch?.(cache);
  cache.free();
  return Float32Array.from(parts.flatMap((part) => [...part]));
}

function largestDifference(a: Float32Array, b: Float32Array): number {
  expect(a.length).toBe(b.length);
  return a.reduce((largest, value, i) => Math.max(largest, Math.abs(value - at(b, i))), 0);
}

describeDevices("the hybrid cache within the model's own windows", (device) => {
  const modelOf = ({ seed, windows }: Case): Model => tinyModel(device(), seed, { ...SHAPE, windows });
  const idsOf = ({ seed, tokens }: Case): Int32Array => seededInts(seed + 100, tokens, 61);

  test.each(CASES.flatMap((given) => MODES.map((mode) => ({ given, mode, title: mode.title, seed: given.seed }))))(
    'equals plain masks: $title (seed $seed)',
    async ({ given, mode }) => {
      const model = modelOf(given);
      expect(largestDifference(await fed(model, idsOf(given), given, mode), masked(model, idsOf(given), given, mode))).toBeLessThan(
        TOLERANCE,
      );
    },
  );

  test.each(SOME_CASES)(
    "with every head a retrieval head equals the model's own attention, whatever the mode (seed $seed)",
    async (given) => {
      const model = modelOf(given);
      const dense = { ...given, mask: uniformMask(SHAPE, 'retrieval') };
      const own = device().scope(() => device().download(headLogits(model, forward(model, idsOf(given)))));
      for (const mode of MODES) expect(largestDifference(await fed(model, idsOf(given), dense, mode), own)).toBeLessThan(TOLERANCE);
    },
  );

  test.each(SOME_CASES)('a streaming prefill in chunks of any size equals one at once (seed $seed)', async (given) => {
    const model = modelOf(given);
    const once = await fed(model, idsOf(given), { ...given, chunkTokens: given.promptTokens }, at(MODES, 0));
    for (const chunkTokens of [1, given.chunkTokens]) {
      expect(largestDifference(await fed(model, idsOf(given), { ...given, chunkTokens }, at(MODES, 0)), once)).toBeLessThan(TOLERANCE);
    }
  });

  test.each(MODES)('windows of at least the context change no bit: $title', async (mode) => {
    const given = caseOf(3);
    const without = { ...given, windows: given.windows.map(() => null) };
    const within = { ...given, windows: given.windows.map((_, layer) => given.tokens + layer) };
    expect(await fed(modelOf(within), idsOf(given), within, mode)).toEqual(await fed(modelOf(without), idsOf(given), without, mode));
  });

  test.each(SOME_CASES)(
    'measured bytes equal the formula, and no head holds more than its layer or its window shows (seed $seed)',
    async (given) => {
      const { mask, window, tokens, windows } = given;
      const shape = { headDim: 8, bytesPerElement: CACHE_ELEMENT_BYTES, contextTokens: tokens, ...window };
      const bytes: number[] = [];
      for (const mode of MODES)
        await fed(modelOf(given), idsOf(given), given, mode, (cache) => {
          bytes.push(cache.bytes);
          expect(cache.streamingTokens).toBeLessThanOrEqual(window.sink + window.recent);
        });
      const rows = mask.flatMap((heads, layer) => {
        const own = Math.min(tokens, at(windows, layer) ?? Infinity);
        return heads.map((retrieval) => (retrieval ? own : Math.min(own, window.sink + window.recent)));
      });
      const byHand = 2 * 4 * 8 * rows.reduce((sum, count) => sum + count, 0);
      expect(new Set(bytes)).toEqual(new Set([byHand]));
      expect(maskBytes(shape, mask, windows)).toBe(byHand);
    },
  );

  test("a token less of the model's own window moves the logits by far more than the tolerance", async () => {
    const windows = [10, 12, null, 11];
    const given = { ...caseOf(1), windows, mask: uniformMask(SHAPE, 'streaming'), window: { sink: 4, recent: 5 } };
    const narrow = { ...given, windows: [9, 11, null, 10] };
    const [wide, less] = [
      await fed(modelOf(given), idsOf(given), given, at(MODES, 0)),
      await fed(modelOf(narrow), idsOf(given), narrow, at(MODES, 0)),
    ];
    expect(largestDifference(wide, less)).toBeGreaterThan(1000 * TOLERANCE);
  });

  test.each(MODES)('leaves nothing on the device: $title', async (mode) => {
    const given = caseOf(2);
    const model = modelOf(given);
    await fed(model, idsOf(given), given, mode); // what a device derives from weights on first use stays
    const before = device().memory().tensors;
    await fed(model, idsOf(given), given, mode);
    expect(device().memory().tensors).toBe(before);
  });
});
