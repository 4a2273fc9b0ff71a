/** What a hybrid cache weighs, by the formula; HybridCache.bytes measures the buffers, and a test holds the two together. */
import type { ModelConfig } from '../model/config.js';
import type { Mask } from '../pattern/schema.js';
import { streamingRows } from './window-rows.js';
import type { CacheWindow } from './window-rows.js';

/** Bytes of one element of the cache: float32. */
export const CACHE_ELEMENT_BYTES = 4;

/** Keys and values of one sequence: 2 x bytes x headDim x [full heads x T + streaming heads x min(T, sink + recent)], T = contextTokens. */
export function cacheBytes(config: Pick<ModelConfig, 'headDim'>, mask: Mask, window: CacheWindow, contextTokens: number): number {
  const heads = mask.flat();
  const full = heads.filter((retrieval) => retrieval).length;
  const rows = full * contextTokens + (heads.length - full) * streamingRows(window, contextTokens);
  return 2 * CACHE_ELEMENT_BYTES * config.headDim * rows;
}

/** The mask of the dense model: every head keeps every token. */
export function allRetrieval(config: Pick<ModelConfig, 'layers' | 'kvHeads'>): Mask {
  return uniformMask(config, true);
}

/** The mask with no retrieval head at all. */
export function allStreaming(config: Pick<ModelConfig, 'layers' | 'kvHeads'>): Mask {
  return uniformMask(config, false);
}

function uniformMask(config: Pick<ModelConfig, 'layers' | 'kvHeads'>, retrieval: boolean): Mask {
  return Array.from({ length: config.layers }, () => Array.from({ length: config.kvHeads }, () => retrieval));
}
