/**
 * Prefill: a prompt into a hybrid cache, in one of three modes.
 *
 * `streaming`  streaming heads see sink + recent from the first token on; the same whatever the chunk (the default)
 * `chunked:N`  DuoAttention's: the first N tokens dense for every head, later chunks by the `reference` rule
 * `dense`      every head sees everything during the prompt; what streaming heads do not keep is dropped afterwards
 */
import { HybridCache } from '../cache/hybrid-cache.js';
import type { WindowRule } from '../cache/hybrid-cache.js';
import type { Prefill } from '../config/values.js';
import type { Tensor } from '../device/device.js';
import { InternalError } from '../errors.js';
import type { Model } from '../model/model.js';
import { breathe } from '../progress.js';
import { feed } from './feed.js';

/** Tokens fed at once where the mode leaves it open: large enough for full matrix products, small enough for memory. */
export const CHUNK_TOKENS = 512;

export interface PrefillOptions {
  readonly prefill: Prefill;
  /** Positions, ascending, whose logits are wanted; default: the last one. */
  readonly positions?: readonly number[];
  /** Tokens fed at once in the modes `streaming` and `dense`, which do not depend on it. */
  readonly chunkTokens?: number;
  /** Called between chunks; it may throw to stop. */
  readonly onChunk?: (doneTokens: number, totalTokens: number) => void;
}

/** Feeds `ids` to an empty cache; the logits of the wanted positions, (positions, vocab). */
export async function prefill(model: Model, cache: HybridCache, ids: Int32Array, options: PrefillOptions): Promise<Tensor> {
  if (options.prefill.mode !== 'dense') return feedAll(model, cache, ids, options);
  const dense = HybridCache.dense(model.device, model.config, cache.contextTokens);
  try {
    const logits = await feedAll(model, dense, ids, options);
    cache.fillFrom(dense);
    return logits;
  } finally {
    dense.free();
  }
}

async function feedAll(model: Model, cache: HybridCache, ids: Int32Array, options: PrefillOptions): Promise<Tensor> {
  if (cache.tokens !== 0) throw new InternalError(`prefill into a cache that holds ${cache.tokens} tokens`);
  const { chunkTokens, rule } = plan(options);
  const positions = options.positions ?? [ids.length - 1];
  const parts: Tensor[] = [];
  for (let start = 0; start < ids.length; start += chunkTokens) {
    const chunk = ids.subarray(start, start + chunkTokens);
    const wanted = positions.filter((position) => position >= start && position < start + chunk.length).map((position) => position - start);
    const part = feed(model, cache, chunk, rule, wanted);
    if (part !== undefined) parts.push(part);
    options.onChunk?.(start + chunk.length, ids.length);
    await breathe();
  }
  return joined(model, parts);
}

function plan(options: PrefillOptions): { chunkTokens: number; rule: WindowRule } {
  const { prefill: mode, chunkTokens = CHUNK_TOKENS } = options;
  return mode.mode === 'chunked' ? { chunkTokens: mode.chunkTokens, rule: 'reference' } : { chunkTokens, rule: 'exact' };
}

function joined(model: Model, parts: readonly Tensor[]): Tensor {
  const [first, ...rest] = parts;
  if (first === undefined) throw new InternalError('no position of the prompt was wanted');
  if (rest.length === 0) return first;
  const all = model.device.concatRows(parts);
  model.device.free(...parts);
  return all;
}
