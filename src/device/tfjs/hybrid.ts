/**
 * Attention of one layer over a hybrid cache: each group of KV heads has keys of its own, in any order of rows, and
 * serves the query heads that belong to it. Forward only.
 */
import { at, InternalError } from '../../errors.js';
import { windowSees, type Window } from '../device.js';
import type { Backend } from './backend.js';
import { queriesByToken } from './heads.js';
import type { Raw } from './kernels.js';
import { consecutive, HIDDEN, keyRanges, length, MAX_QUERIES, MAX_SCORES, rangesBias, type Piece, type Range } from './pieces.js';
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
  const seen = seenRows(keyValues);
  return Array.from({ length: Math.ceil(tokens / step) }, (_, i) => {
    const queries = { start: i * step, end: Math.min(tokens, (i + 1) * step) };
    return { queries, ...keysOf(keyValues, seen, queryStart + queries.start, length(queries)) };
  });
}

/** Rows that queries between two positions see: the rows of one or two ranges of positions. */
type SeenRows = (first: number, last: number) => Range[];

/** Keys and bias of `queries` queries from position `first` on. A single query sees all of its rows. */
function keysOf(keyValues: Group, seen: SeenRows | undefined, first: number, queries: number): Pick<Piece, 'keys' | 'bias'> {
  const { keyCount, keyPositions, window } = keyValues;
  if (seen) {
    const keys = seen(first, first + queries - 1);
    const bias = (): Float32Array => rangesBias(consecutive(first, queries), keys, (position) => seen(position, position));
    return { keys, bias: () => (queries === 1 ? undefined : bias()) };
  }
  const positions = keyPositions?.subarray(0, keyCount) ?? new Int32Array(0);
  return { keys: [{ start: 0, end: keyCount }], bias: () => positionsBias(positions, first, queries, window) };
}

/** Undefined where the rows are not in the order of their positions, as in a ring: then no range of rows holds what is seen. */
function seenRows({ keyCount, keyPositions, window }: Group): SeenRows | undefined {
  const positions = keyPositions?.subarray(0, keyCount);
  if (positions?.some((position, row) => row > 0 && position <= at(positions, row - 1))) return undefined;
  const rowOf = (position: number): number => (positions ? firstNotBefore(positions, position) : Math.min(position, keyCount));
  return (first, last) => {
    const ranges = keyRanges(first, last, window).map(({ start, end }) => ({ start: rowOf(start), end: rowOf(end) }));
    const [sinks, recent] = ranges.filter((range) => length(range) > 0);
    if (!sinks || !recent) return sinks ? [sinks] : [];
    return sinks.end === recent.start ? [{ start: sinks.start, end: recent.end }] : [sinks, recent];
  };
}

/** The first row of ascending `positions` at or after `position`, by halves. */
function firstNotBefore(positions: Int32Array, position: number): number {
  let [low, high] = [0, positions.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (at(positions, middle) < position) low = middle + 1;
    else high = middle;
  }
  return low;
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
