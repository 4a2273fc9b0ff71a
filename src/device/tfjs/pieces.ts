/**
 * Attention is computed in pieces: some consecutive queries against the keys that at least one of them sees. A piece
 * holds a bounded number of scores, and with a window the keys of a piece are few, so that the cost of streaming
 * attention grows with the tokens and not with their square.
 *
 * Keys here are at positions 0..tokens-1 (row = position), so what a query sees is one or two ranges of rows.
 */
import { at, InternalError } from '../../errors.js';
import type { Window } from '../device.js';

/** Rows start..end-1. */
export interface Range {
  readonly start: number;
  readonly end: number;
}

export interface Piece {
  /** Which queries, by row. */
  readonly queries: Range;
  /** Which keys: one range, or the sinks and the recent keys apart. Ascending. */
  readonly keys: readonly Range[];
  /**
   * Makes what is added to the scores, (queries, keys): 0 where visible, HIDDEN elsewhere; undefined when every query
   * sees every key. Made when needed, since all of them together would be as large as a dense mask.
   */
  readonly bias: () => Float32Array | undefined;
}

/** A score so low that its exponential is zero, yet finite, so that no difference of two is NaN. */
export const HIDDEN = -1e30;
/** 32 MiB of float32 scores at a time, over all heads. */
export const MAX_SCORES = 2 ** 23;
/** Of a piece: the fewer, the fewer keys are computed for queries that do not see them. */
export const MAX_QUERIES = 256;
/** Windows smaller than this still take as many positions at a time, for the sake of the matrix products. */
const MIN_SPAN = 128;

/** The pieces for queries at ascending `positions`. */
export function planPieces(positions: Int32Array, tokens: number, heads: number, window?: Window): Piece[] {
  if (window) checkWindow(window);
  checkPositions(positions, tokens);
  const pieces: Piece[] = [];
  for (let start = 0; start < positions.length;) {
    const end = pieceEnd(positions, start, heads, window);
    pieces.push(makePiece(positions, { start, end }, window));
    start = end;
  }
  return pieces;
}

/** Positions start..start+count-1. */
export function consecutive(start: number, count: number): Int32Array {
  return Int32Array.from({ length: count }, (_, i) => start + i);
}

export function length(range: Range): number {
  return range.end - range.start;
}

export function totalLength(ranges: readonly Range[]): number {
  return ranges.reduce((sum, range) => sum + length(range), 0);
}

/** @throws InternalError when the window leaves out the current token: a query might see nothing */
export function checkWindow({ recent, reach = 1 }: Window): void {
  if (Math.min(recent, reach) < 1) throw new InternalError(`a window must hold the current token, but recent is ${recent}, reach ${reach}`);
}

function checkPositions(positions: Int32Array, tokens: number): void {
  let previous = -1;
  for (const position of positions) {
    if (position < previous) throw new InternalError('query positions must ascend');
    previous = position;
  }
  if (previous >= tokens) throw new InternalError(`query position ${previous} is outside 0..${tokens - 1}`);
}

/** The first query that does not belong to the piece starting at `start`. */
function pieceEnd(positions: Int32Array, start: number, heads: number, window?: Window): number {
  const first = at(positions, start);
  const maxSpan = window ? Math.max(MIN_SPAN, Math.min(window.sink + window.recent, window.reach ?? Infinity)) : Infinity;
  let end = start + 1;
  for (; end < positions.length; end++) {
    const last = at(positions, end);
    const scores = heads * (end + 1 - start) * totalLength(keyRanges(first, last, window));
    if (scores > MAX_SCORES || end - start >= MAX_QUERIES || last - first >= maxSpan) break;
  }
  return end;
}

function makePiece(positions: Int32Array, queries: Range, window?: Window): Piece {
  const keys = keyRanges(at(positions, queries.start), at(positions, queries.end - 1), window);
  const asked = positions.subarray(queries.start, queries.end);
  // What a single query sees is exactly its ranges.
  const seen = (position: number): Range[] => keyRanges(position, position, window);
  return { queries, keys, bias: () => (asked.length === 1 ? undefined : rangesBias(asked, keys, seen)) };
}

/** The keys that a query between positions `first` and `last` sees: one range, or sinks and recent keys apart. */
export function keyRanges(first: number, last: number, window?: Window): Range[] {
  const end = last + 1;
  if (!window) return [{ start: 0, end }];
  const reached = reachStart(window, first);
  const sink = Math.min(sinkEnd(window), end);
  const start = Math.max(reached, recentStart(window, first));
  if (reached >= sink) return [{ start, end }]; // no sink, or none within reach
  if (start <= sink) return [{ start: reached, end }];
  return [
    { start: reached, end: sink },
    { start, end },
  ];
}

/** Bias of queries at `positions` over key rows in `keys`, where `seen` gives the rows a position sees; it is filled range by range. */
export function rangesBias(positions: Int32Array, keys: readonly Range[], seen: (position: number) => readonly Range[]): Float32Array {
  const width = totalLength(keys);
  const bias = new Float32Array(positions.length * width).fill(HIDDEN);
  positions.forEach((position, row) => {
    const visible = seen(position);
    let offset = row * width;
    for (const range of keys) {
      for (const part of visible) {
        const start = Math.max(range.start, part.start);
        const end = Math.min(range.end, part.end);
        if (start < end) bias.fill(0, offset + start - range.start, offset + end - range.start);
      }
      offset += length(range);
    }
  });
  return bias;
}

/** As `windowSees` of ../device.ts has it: sinks and recent keys are whole blocks. */
function sinkEnd(window: Window): number {
  return Math.ceil(window.sink / window.block) * window.block;
}

function recentStart(window: Window, query: number): number {
  const { block, recent } = window;
  return Math.max(0, (Math.floor(query / block) - Math.ceil(recent / block) + 1) * block);
}

function reachStart({ reach = Infinity }: Window, query: number): number {
  return Math.max(0, query - reach + 1);
}
