/**
 * Attention of one layer over a hybrid cache: each group of KV heads has keys of its own, in any order of rows, and
 * serves the query heads that belong to it. Forward only.
 */
import { InternalError } from '../../errors.js';
import { windowSees, type Window } from '../device.js';
import { join, rowsOf, scaleOf } from './attention.js';
import type { Backend } from './backend.js';
import { addBias, keysByHead, queriesByHead, queriesByToken, type Heads } from './heads.js';
import type { Raw } from './kernels.js';
import { consecutive, HIDDEN, length, rangesBias, type Range } from './pieces.js';

/** As `KeyValues` of ../device.ts. */
export interface Group {
  readonly kvHeads: readonly number[];
  readonly k: Raw;
  readonly v: Raw;
  readonly keyCount: number;
  readonly keyPositions?: Int32Array;
  readonly window?: Window;
}

/** 32 MiB of float32 scores at a time, over the heads of a group. */
const MAX_SCORES = 2 ** 23;

/** q (tokens, heads, headDim) at positions queryStart, queryStart + 1, ...: (tokens, heads, headDim). */
export function attendHybrid(backend: Backend, q: Raw, groups: readonly Group[], queryStart: number): Raw {
  const { kernels } = backend;
  const [, heads = 0, headDim = 0] = q.shape;
  const group = checkGroups(heads, groups);
  const present = groups.filter(({ kvHeads }) => kvHeads.length > 0);
  const order = present.flatMap(({ kvHeads }) => queryHeads(kvHeads, group));
  const inOrder = order.every((head, place) => head === place);
  return kernels.tidy(() => {
    const parts = present.map((keyValues) => {
      const sizes = { kvHeads: keyValues.kvHeads.length, group, headDim };
      const own = inOrder && present.length === 1 ? q : kernels.gather(q, queryHeads(keyValues.kvHeads, group), 1);
      return attendGroup(backend, own, keyValues, sizes, queryStart);
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

/** The queries of one group, some at a time so that their scores fit MAX_SCORES. */
function attendGroup(backend: Backend, q: Raw, keyValues: Group, sizes: Heads, queryStart: number): Raw {
  const { kernels } = backend;
  const tokens = q.shape[0] ?? 0;
  const heads = sizes.kvHeads * sizes.group;
  const step = Math.max(1, Math.floor(MAX_SCORES / (heads * keyValues.keyCount)));
  const parts: Raw[] = [];
  for (let start = 0; start < tokens; start += step) {
    const queries = { start, end: Math.min(tokens, start + step) };
    parts.push(kernels.tidy(() => attendPiece(backend, q, queries, keyValues, sizes, queryStart)));
  }
  return join(kernels, parts);
}

function attendPiece(backend: Backend, q: Raw, queries: Range, keyValues: Group, sizes: Heads, queryStart: number): Raw {
  const { kernels } = backend;
  const first = queryStart + queries.start;
  const keys = keysSeen(keyValues, first + length(queries) - 1);
  const matrix = (x: Raw): Raw => keysByHead(kernels, rowsOf(kernels, x, [keys]), sizes);
  const scaled = kernels.scale(queriesByHead(kernels, rowsOf(kernels, q, [queries]), sizes), scaleOf(sizes));
  const scores = backend.batched(scaled, matrix(keyValues.k), { b: 'transposed' });
  const p = kernels.softmax(addBias(kernels, scores, biasOf(keyValues, keys, first, length(queries)), sizes));
  return queriesByToken(kernels, backend.batched(p, matrix(keyValues.v)), sizes);
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
