/** What a KV cache weighs, by the formula alone; the cache itself measures its buffers, and a test holds the two together. */

/** Bytes of one element of this tool's cache: float32. */
export const CACHE_ELEMENT_BYTES = 4;

export interface CacheShape {
  readonly headDim: number;
  readonly bytesPerElement: number;
  readonly contextTokens: number;
  readonly sink: number;
  readonly recent: number;
}

/** Tokens that a streaming head keeps of a context. */
export function streamingTokens(window: Pick<CacheShape, 'sink' | 'recent'>, contextTokens: number): number {
  return Math.min(contextTokens, window.sink + window.recent);
}

/** Keys and values of one sequence, bytes: 2 x bytesPerElement x headDim x [full x T + streaming x min(T, sink + recent)]. */
export function cacheBytes(shape: CacheShape, fullHeads: number, streamingHeads: number): number {
  const rows = fullHeads * shape.contextTokens + streamingHeads * streamingTokens(shape, shape.contextTokens);
  return 2 * shape.bytesPerElement * shape.headDim * rows;
}
