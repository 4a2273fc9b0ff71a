/**
 * Attention of one layer over a hybrid cache: each group of KV heads has keys of its own, in any order of rows, and
 * serves the query heads that belong to it. Forward only.
 */
import { InternalError } from '../../errors.js';
import { windowSees, type Window } from '../device.js';
import type { Backend } from './backend.js';
import { queriesByToken } from './heads.js';
import type { Raw } from './kernels.js';
import { consecutive, HIDDEN, length, MAX_QUERIES, MAX_SCORES, rangesBias, type Piece, type Range } from './pieces.js';
import { headsOf, headsTogether, perHeads, perPiece, score, softmaxInstead, type Tensors } from './piecewise.js';

/** As `KeyValues` of ../device.ts. */
export interface Group {
  readonly kvHeads: readonly number[];
  readonly k: Raw;
  readonly v: Raw;
  readonly keyCount: number;
  readonly keyPositions?: Int32Array;
  readonly window?: Window;
}

/** q (tokens, heads, headDim) at positions queryStart, queryStart + 1, ...: (tokens, heads, headDim). */
export function attendHybrid(backend: Backend, q: Raw, groups: readonly Group[], queryStart: number): Raw {
  const { kernels } = backend;
  const group = checkGroups(q.shape[1] ?? 0, groups);
  const present = groups.filter(({ kvHeads }) => kvHeads.length > 0);
  const order = present.flatMap(({ kvHeads }) => queryHeads(kvHeads, group));
  const inOrder = order.every((head, place) => head === place);
  return kernels.tidy(() => {
    const parts = present.map((keyValues) => {
      const own = inOrder && present.length === 1 ? q : kernels.gather(q, queryHeads(keyValues.kvHeads, group), 1);
      return attendGroup(backend, own, keyValues, queryStart);
    });
    const together = kernels.concat(parts, 1);
    return inOrder ? together : kernels.gather(together, inverse(order), 1);
  });
}

/**
 * Query heads per KV head, where the groups together hold every KV head once and their number divides `heads`.
 * @throws InternalError otherwise: some head's output would be missing
 */
export function checkGroups(heads: number, groups: readonly Pick<Group, 'kvHeads'>[]): number {
  const held = groups.flatMap(({ kvHeads }) => kvHeads);
  const complete = new Set(held).size === held.length && held.every((head) => head >= 0 && head < held.length);
  if (!complete || held.length === 0 || heads % held.length !== 0) {
    throw new InternalError(
      `groups of KV heads ${groups.map(({ kvHeads }) => `(${kvHeads.join(', ')})`).join(' ')} for ${heads} query heads`,
    );
  }
  return heads / held.length;
}

/** One group's query heads over its keys. */
function attendGroup(backend: Backend, q: Raw, keyValues: Group, queryStart: number): Raw {
  const { k, v } = keyValues;
  const pieces = plan(backend, { q, k, v }, keyValues, queryStart);
  return perHeads(backend, { q, k, v }, (own) => perPiece(backend.kernels, pieces, (piece) => attendPiece(backend, own, piece))).out;
}

function attendPiece(backend: Backend, tensors: Tensors, piece: Piece): { out: Raw } {
  const { kernels } = backend;
  const { scores, v } = score(backend, tensors, piece);
  const out = backend.batched(softmaxInstead(kernels, scores), v);
  return { out: queriesByToken(kernels, out, headsOf(tensors)) };
}

/** As many queries at a time as the limits of a piece allow. */
function plan(backend: Backend, tensors: Tensors, keyValues: Group, queryStart: number): Piece[] {
  const { kvHeads, group } = headsOf(tensors);
  const heads = headsTogether(backend, tensors) ? kvHeads * group : group;
  const step = Math.max(1, Math.min(MAX_QUERIES, Math.floor(MAX_SCORES / (heads * keyValues.keyCount))));
  const tokens = tensors.q.shape[0] ?? 0;
  return Array.from({ length: Math.ceil(tokens / step) }, (_, i) => {
    const queries = { start: i * step, end: Math.min(tokens, (i + 1) * step) };
    const first = queryStart + queries.start;
    const keys = keysSeen(keyValues, queryStart + queries.end - 1);
    return { queries, keys: [keys], bias: () => biasOf(keyValues, keys, first, length(queries)) };
  });
}

/** Rows that a query at or before `lastPosition` may see. */
function keysSeen({ keyCount, keyPositions }: Group, lastPosition: number): Range {
  return { start: 0, end: keyPositions ? keyCount : Math.min(keyCount, lastPosition + 1) };
}

/** Bias (queries, keys) of queries from position `first` on, absent when all of them see all keys. */
function biasOf({ keyPositions, window }: Group, keys: Range, first: number, queries: number): Float32Array | undefined {
  if (keyPositions) return positionsBias(keyPositions.subarray(0, keys.end), first, queries, window);
  if (!window && keys.end <= first + 1) return undefined;
  return rangesBias(consecutive(first, queries), [keys], window);
}

function positionsBias(keyPositions: Int32Array, first: number, queries: number, window?: Window): Float32Array | undefined {
  const keyCount = keyPositions.length;
  const bias = new Float32Array(queries * keyCount);
  let hidden = false;
  for (let query = 0; query < queries; query++) {
    const position = first + query;
    keyPositions.forEach((key, row) => {
      if (window ? windowSees(window, position, key) : key <= position) return;
      bias[query * keyCount + row] = HIDDEN;
      hidden = true;
    });
  }
  return hidden ? bias : undefined;
}

/** Query heads served by `kvHeads`. */
function queryHeads(kvHeads: readonly number[], group: number): number[] {
  return kvHeads.flatMap((head) => Array.from({ length: group }, (_, i) => head * group + i));
}

/** For each head, where `order` has it. */
function inverse(order: readonly number[]): number[] {
  const places = new Array<number>(order.length);
  order.forEach((head, place) => (places[head] = place));
  return places;
}
