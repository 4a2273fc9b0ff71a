/** Moves between token-major tensors, (tokens, heads, headDim), and batches of matrices, one per KV head. */
import type { Kernels, Raw } from './kernels.js';

/** Sizes of one attention. */
export interface Heads {
  readonly kvHeads: number;
  /** Query heads per KV head. */
  readonly group: number;
  readonly headDim: number;
}

/** Keys or values (rows, kvHeads, headDim) as (kvHeads, rows, headDim). */
export function keysByHead(k: Kernels, x: Raw, { kvHeads, headDim }: Heads): Raw {
  const rows = x.shape[0] ?? 0;
  return rows === 1 || kvHeads === 1 ? k.reshape(x, [kvHeads, rows, headDim]) : k.transpose(x, [1, 0, 2]);
}

export function keysByToken(k: Kernels, x: Raw, { kvHeads, headDim }: Heads): Raw {
  const rows = x.shape[1] ?? 0;
  return rows === 1 || kvHeads === 1 ? k.reshape(x, [rows, kvHeads, headDim]) : k.transpose(x, [1, 0, 2]);
}

/** Queries (rows, heads, width) as (kvHeads, group * rows, width): one matrix per KV head, all its queries below each other. */
export function queriesByHead(k: Kernels, x: Raw, { kvHeads, group }: Heads): Raw {
  const [rows = 0, , width = 0] = x.shape;
  const matrices = [kvHeads, group * rows, width];
  if (rows === 1 || kvHeads * group === 1) return k.reshape(x, matrices);
  const byHead = k.transpose(x, [1, 0, 2]);
  return group === 1 ? byHead : k.reshape(byHead, matrices);
}

/** Undoes `queriesByHead`: (rows, heads, width). */
export function queriesByToken(k: Kernels, x: Raw, { kvHeads, group }: Heads): Raw {
  const [, together = 0, width = 0] = x.shape;
  const rows = together / group;
  const heads = kvHeads * group;
  if (rows === 1 || heads === 1) return k.reshape(x, [rows, heads, width]);
  const byHead = group === 1 ? x : k.reshape(x, [heads, rows, width]);
  return k.transpose(byHead, [1, 0, 2]);
}

/** scores (kvHeads, group * rows, keys) plus `bias` (rows, keys), the same for every head. */
export function addBias(k: Kernels, scores: Raw, bias: Float32Array, { kvHeads, group }: Heads): Raw {
  const [, together = 0, keys = 0] = scores.shape;
  const rows = together / group;
  const hidden = k.make(bias, [1, rows, keys]);
  if (group === 1) return k.add(scores, hidden);
  const perHead = k.reshape(scores, [kvHeads * group, rows, keys]);
  return k.reshape(k.add(perHead, hidden), [kvHeads, together, keys]);
}
