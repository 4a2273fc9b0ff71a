/** A prompt completed from one cache or another, for `duo run`. */
import { performance } from 'node:perf_hooks';
import { HybridCache } from '../cache/hybrid-cache.js';
import type { WindowRule } from '../cache/hybrid-cache.js';
import type { CacheWindow } from '../cache/window-rows.js';
import type { Prefill } from '../config/values.js';
import type { Model } from '../model/model.js';
import { countFull } from '../pattern/mask.js';
import type { Mask } from '../pattern/schema.js';
import { decode } from './decode.js';
import type { Completion } from './decode.js';
import { prefill } from './prefill.js';

export interface Job {
  readonly model: Model;
  readonly ids: Int32Array;
  readonly window: CacheWindow;
  readonly prefill: Prefill;
  readonly decodeWindow: WindowRule;
  readonly maxNewTokens: number;
  readonly stop: readonly string[];
}

export interface CompletionHooks {
  /** Called between chunks of the prompt; it may throw to stop. */
  readonly onPrefill: (doneTokens: number, totalTokens: number) => void;
  /** Called with the text so far. */
  readonly onText: (text: string) => void;
  readonly signal: AbortSignal;
}

/** A completion with what it took. */
export interface Completed extends Completion {
  readonly retrievalRatio: number;
  readonly sparsity: number;
  readonly cacheBytes: number;
  readonly prefillMs: number;
  readonly decodeMs: number;
  readonly prefillTokensPerSecond: number;
  /** null when there was no step to time: the first token comes from the prompt's own logits. */
  readonly decodeTokensPerSecond: number | null;
}

/** Tokens the cache of a job is made for; the token generated last is never fed. */
export function contextOf(job: Pick<Job, 'ids' | 'maxNewTokens'>): number {
  return job.ids.length + job.maxNewTokens - 1;
}

export async function complete(job: Job, mask: Mask, hooks: CompletionHooks): Promise<Completed> {
  const { model, ids, window, stop, maxNewTokens, decodeWindow } = job;
  const cache = new HybridCache(model.device, model.config, { mask, window, contextTokens: contextOf(job) });
  try {
    const start = performance.now();
    const logits = await prefill(model, cache, ids, { prefill: job.prefill, onChunk: hooks.onPrefill });
    const filled = performance.now();
    const onToken = (_id: number, text: string): void => hooks.onText(text);
    const completion = await decode(model, cache, logits, { maxNewTokens, decodeWindow, stop, signal: hooks.signal, onToken });
    const times = { prefillMs: filled - start, decodeMs: performance.now() - filled };
    const retrievalRatio = countFull(mask) / mask.flat().length;
    return {
      ...completion,
      retrievalRatio,
      sparsity: 1 - retrievalRatio,
      cacheBytes: cache.bytes,
      ...times,
      ...speeds(ids.length, completion, times),
    };
  } finally {
    cache.free();
  }
}

/** Runs every operation once, so that the first completion is not timed with what the device does on first use. */
export async function warmUp({ model, window }: Pick<Job, 'model' | 'window'>): Promise<void> {
  const { layers, kvHeads } = model.config;
  const mask = Array.from({ length: layers }, () => Array.from({ length: kvHeads }, (_, head) => head % 2 === 0));
  const cache = new HybridCache(model.device, model.config, { mask, window, contextTokens: 3 });
  const logits = await prefill(model, cache, Int32Array.of(0, 0), { prefill: { mode: 'streaming' } });
  await decode(model, cache, logits, { maxNewTokens: 2, endTokens: [] });
  cache.free();
}

function speeds(
  promptTokens: number,
  completion: Completion,
  times: Pick<Completed, 'prefillMs' | 'decodeMs'>,
): Pick<Completed, 'prefillTokensPerSecond' | 'decodeTokensPerSecond'> {
  // An end token takes a step as well.
  const steps = completion.ids.length - 1 + (completion.endToken === undefined ? 0 : 1);
  return {
    prefillTokensPerSecond: (1000 * promptTokens) / times.prefillMs,
    decodeTokensPerSecond: steps > 0 ? (1000 * steps) / times.decodeMs : null,
  };
}

export interface Agreement {
  /** Leading tokens that both completions have. */
  readonly sameTokens: number;
  readonly identical: boolean;
}

export function agreementOf(a: Pick<Completion, 'ids'>, b: Pick<Completion, 'ids'>): Agreement {
  const differing = a.ids.findIndex((id, i) => b.ids[i] !== id);
  const sameTokens = differing < 0 ? Math.min(a.ids.length, b.ids.length) : differing;
  return { sameTokens, identical: differing < 0 && a.ids.length === b.ids.length };
}
