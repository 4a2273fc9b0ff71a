/** What a KV cache weighs, by the formula alone; the cache itself measures its buffers, and a test holds the two together. */

import type { Mask } from './schema.js';

/** Bytes of one element of this tool's cache: float32. */
export const CACHE_ELEMENT_BYTES = 4;

export interface CacheShape {
  readonly headDim: number;
  readonly bytesPerElement: number;
  readonly contextTokens: number;
  readonly sink: number;
  readonly recent: number;
  /** The model's own window in these heads' layers, tokens; absent: none. */
  readonly reach?: number | undefined;
}

/** Tokens that a full head keeps of a context. */
export function fullTokens({ reach = Infinity }: Pick<CacheShape, 'reach'>, contextTokens: number): number {
  return Math.min(contextTokens, reach);
}

/** Tokens that a streaming head keeps of a context. */
export function streamingTokens(window: Pick<CacheShape, 'sink' | 'recent' | 'reach'>, contextTokens: number): number {
  return Math.min(fullTokens(window, contextTokens), window.sink + window.recent);
}

/**
 * Keys and values of one sequence, bytes: 2 x bytesPerElement x headDim x [full x T + streaming x min(T, sink + recent)], where the model's own
 * window, if it is shorter than the context, stands for T.
 */
export function cacheBytes(shape: CacheShape, fullHeads: number, streamingHeads: number): number {
  const rows = fullHeads * fullTokens(shape, shape.contextTokens) + streamingHeads * streamingTokens(shape, shape.contextTokens);
  return 2 * shape.bytesPerElement * shape.headDim * rows;
}

/** As `cacheBytes`, of the heads of a mask; `layerWindows` holds the model's own window of each layer, null where there is none. */
export function maskBytes(shape: Omit<CacheShape, 'reach'>, mask: Mask, layerWindows: readonly (number | null)[] = []): number {
  return mask.reduce((sum, heads, layer) => {
    const full = heads.filter(Boolean).length;
    return sum + cacheBytes({ ...shape, reach: layerWindows[layer] ?? undefined }, full, heads.length - full);
  }, 0);
}
