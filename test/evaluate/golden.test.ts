/** Prefill and decode against dumps of an independent implementation (../shared/golden, its README has the rules). */
import { join } from 'node:path';
import { HybridCache } from '../../src/cache/hybrid-cache.js';
import type { WindowRule } from '../../src/cache/hybrid-cache.js';
import type { Prefill } from '../../src/config/values.js';
import { decode } from '../../src/evaluate/decode.js';
import { prefill } from '../../src/evaluate/prefill.js';
import { loadModel } from '../../src/model/load.js';
import type { Model } from '../../src/model/model.js';
import { readSafetensors, readTensor } from '../../src/model/safetensors.js';
import type { Mask } from '../../src/pattern/schema.js';
import { uniformMask } from '../../src/cache/uniform-mask.js';
import { describeDevices } from '../helpers/devices.js';
import { describeShared, SHARED } from '../helpers/paths.js';

const WINDOW = { sink: 4, recent: 16 };
const PROMPT = 120;
const NEW_TOKENS = 24;
const TOLERANCE = 1e-4;

const STREAMING: Prefill = { mode: 'streaming' };
const DENSE: Prefill = { mode: 'dense' };
const chunked = (chunkTokens: number): Prefill => ({ mode: 'chunked', chunkTokens });

interface Dump {
  readonly values: (name: string) => Float32Array;
  readonly ints: (name: string) => Int32Array;
}

function openDump(path: string): Dump {
  const file = readSafetensors(path);
  const read = (name: string): Float32Array | Int32Array => {
    const tensor = file.tensors.get(name);
    if (tensor === undefined) throw new Error(`${path} has no ${name}`);
    return readTensor(file, tensor);
  };
  return { values: (name) => read(name) as Float32Array, ints: (name) => read(name) as Int32Array };
}

function largestDifference(a: Float32Array, b: Float32Array): number {
  expect(a.length).toBe(b.length);
  return a.reduce((largest, value, i) => Math.max(largest, Math.abs(value - (b[i] ?? Number.NaN))), 0);
}

function range(start: number, end: number): number[] {
  return Array.from({ length: end - start }, (_, i) => start + i);
}

describeShared('the hybrid goldens of llama-gqa', () => {
  const folder = join(SHARED, 'golden', 'llama-gqa');
  describeDevices('prefill and decode', (device) => {
    let model: Model;
    let dump: Dump;
    let ids: Int32Array;
    let mask: Mask;

    beforeAll(async () => {
      model = await loadModel(folder, device());
      dump = openDump(join(folder, 'duo', 'golden.safetensors'));
      ids = openDump(join(folder, 'golden.safetensors')).ints('input_ids');
      const flat = [...dump.ints('mask')].map((value) => value === 1);
      const { layers, kvHeads } = model.config;
      mask = range(0, layers).map((layer) => flat.slice(layer * kvHeads, (layer + 1) * kvHeads));
    });

    function newCache(which: Mask, contextTokens: number): HybridCache {
      return new HybridCache(device(), model.config, { mask: which, window: WINDOW, contextTokens });
    }

    async function prefillLogits(mode: Prefill, positions: readonly number[], tokens: number, chunkTokens: number): Promise<Float32Array> {
      const cache = newCache(mask, tokens);
      const logits = await prefill(model, cache, ids.subarray(0, tokens), { prefill: mode, positions, chunkTokens });
      const values = device().download(logits);
      device().free(logits);
      cache.free();
      return values;
    }

    test.each([160, 40, 7])('exact: streaming prefill, fed %i tokens at a time', async (chunkTokens) => {
      const logits = await prefillLogits(STREAMING, range(0, 160), 160, chunkTokens);
      expect(largestDifference(logits, dump.values('exact.logits'))).toBeLessThan(TOLERANCE);
    });

    test.each([
      ['chunked.prefill_logits', 40, 0],
      ['chunked7.prefill_logits_last24', 7, 96],
      ['chunked50.prefill_logits_last24', 50, 96],
    ])('%s: the prefill of the reference in chunks of %i', async (name, chunkTokens, first) => {
      const logits = await prefillLogits(chunked(chunkTokens), range(first, PROMPT), PROMPT, 512);
      expect(largestDifference(logits, dump.values(name))).toBeLessThan(TOLERANCE);
    });

    test.each<[string, Prefill, WindowRule]>([
      ['exact', STREAMING, 'exact'],
      ['dense.exact', DENSE, 'exact'],
      ['dense.ref', DENSE, 'reference'],
      ['chunked.exact', chunked(40), 'exact'],
      ['chunked.ref', chunked(40), 'reference'],
      ['full', STREAMING, 'exact'],
    ])('%s: greedy decoding', async (name, mode, decodeWindow) => {
      const cache = newCache(name === 'full' ? uniformMask(model.config, 'retrieval') : mask, PROMPT + NEW_TOKENS);
      const first = await prefill(model, cache, ids.subarray(0, PROMPT), { prefill: mode });
      const logits: Float32Array[] = [];
      const { ids: found } = await decode(model, cache, first, {
        maxNewTokens: NEW_TOKENS,
        decodeWindow,
        endTokens: [],
        onLogits: (tensor) => logits.push(device().download(tensor)),
      });
      cache.free();
      expect([...found]).toEqual([...dump.ints(`${name}.greedy_ids`)]);
      const all = Float32Array.from(logits.flatMap((step) => [...step]));
      expect(largestDifference(all, dump.values(`${name}.greedy_logits`))).toBeLessThan(TOLERANCE);
    });
  });
});
