/** How long a grid will take: one prompt is timed, and the work of the others counted against it. */
import { performance } from 'node:perf_hooks';
import { HybridCache } from '../cache/hybrid-cache.js';
import { Rng } from '../data/rng.js';
import type { ModelConfig } from '../model/config.js';
import { groupSize } from '../model/config.js';
import type { Model } from '../model/model.js';
import { CACHE_ELEMENT_BYTES, fullTokens, maskBytes, streamingTokens } from '../pattern/cache-bytes.js';
import type { Mask } from '../pattern/schema.js';
import type { CacheWindow } from '../cache/window-rows.js';
import { decodeStep } from './decode.js';
import { cellsOf } from './grid.js';
import type { Grid } from './grid.js';
import { prefill } from './prefill.js';

/** Tokens a greedy answer takes, for the estimate: a value of seven digits and its end. */
const ANSWER_STEPS = 6;

export interface Plan {
  readonly cells: number;
  readonly rows: number;
  readonly promptTokens: number;
  readonly variants: readonly { readonly name: string; readonly retrievalRatio: number; readonly cacheBytes: number }[];
  /** Of the cache, at the longest length. */
  readonly contextTokens: number;
  readonly estimatedMs: number;
}

/** What a grid costs. Takes as long as two of its shortest prompts. */
export async function planGrid(model: Model, grid: Grid): Promise<Plan> {
  const { config } = model;
  const cells = cellsOf(grid);
  const contextTokens = Math.max(...grid.lengths);
  const measured = await measure(model, Math.min(...grid.lengths));
  const perRow = (mask: Mask, tokens: number): number =>
    (measured.prefillMs * prefillWork(config, mask, grid.window, tokens)) / measured.work + measured.stepMs * ANSWER_STEPS;
  return {
    cells: cells.length,
    rows: cells.length * grid.variants.length,
    promptTokens: cells.reduce((sum, cell) => sum + cell.contextTokens, 0) * grid.variants.length,
    variants: grid.variants.map(({ name, retrievalRatio, mask }) => ({
      name,
      retrievalRatio,
      cacheBytes: bytesOf(config, mask, grid.window, contextTokens),
    })),
    contextTokens,
    estimatedMs: cells.reduce((sum, cell) => sum + grid.variants.reduce((own, { mask }) => own + perRow(mask, cell.contextTokens), 0), 0),
  };
}

export function bytesOf(config: ModelConfig, mask: Mask, window: CacheWindow, contextTokens: number): number {
  const { headDim, windows } = config;
  return maskBytes({ headDim, bytesPerElement: CACHE_ELEMENT_BYTES, contextTokens, ...window }, mask, windows);
}

/** Multiplications of a prefill: the matrices per token, and attention by the keys each head sees. */
export function prefillWork(config: ModelConfig, mask: Mask, window: CacheWindow, tokens: number): number {
  const { hidden, intermediate, headDim, queryHeads, kvHeads, layers, windows } = config;
  const matrices = layers * hidden * (2 * queryHeads * headDim + 2 * kvHeads * headDim + 3 * intermediate);
  const keys = mask.reduce((sum, heads, layer) => {
    const reach = windows[layer] ?? undefined;
    const seen = { full: fullTokens({ reach }, tokens), streaming: streamingTokens({ ...window, reach }, tokens) };
    return heads.reduce((own, full) => own + meanKeys(tokens, full ? seen.full : seen.streaming), sum);
  }, 0);
  return tokens * (matrices + 2 * headDim * groupSize(config) * keys);
}

/** Keys that a query sees, in the mean over the positions, of a head that sees `seen` at most. */
function meanKeys(tokens: number, seen: number): number {
  return seen - seen ** 2 / (2 * tokens);
}

interface Measured {
  readonly prefillMs: number;
  readonly stepMs: number;
  /** Work of the prefill that was timed. */
  readonly work: number;
}

/** Times a dense prompt of random tokens and a decode step, both after a first one that is not counted. */
async function measure(model: Model, tokens: number): Promise<Measured> {
  const cache = HybridCache.dense(model.device, model.config, tokens + 2);
  const rng = Rng.from('estimate');
  const ids = Int32Array.from({ length: tokens }, () => rng.int(0, model.config.vocab - 1));
  const timedPrefill = async (): Promise<number> => {
    cache.reset();
    const start = performance.now();
    const logits = await prefill(model, cache, ids, { prefill: { mode: 'streaming' } });
    model.device.download(logits);
    model.device.free(logits);
    return performance.now() - start;
  };
  const timedStep = (): number => {
    const start = performance.now();
    const logits = decodeStep(model, cache, 0, 'exact');
    model.device.download(logits);
    model.device.free(logits);
    return performance.now() - start;
  };
  await timedPrefill();
  const prefillMs = await timedPrefill();
  timedStep();
  const stepMs = timedStep();
  cache.free();
  return { prefillMs, stepMs, work: prefillWork(model.config, cache.mask, cache.window, tokens) };
}
