/**
 * Attention over keys at positions 0..tokens-1, causal or with a streaming window, forward and backward, piece by
 * piece (see pieces.ts). Grouped queries share their keys without a copy: the queries of a group are rows of one matrix.
 *
 * With s = q k^T / sqrt(headDim) and p = softmax(s), the gradients are
 *   dv = p^T dOut,  ds = p (dOut v^T - rowsum(dOut out)),  dq = ds k / sqrt(headDim),  dk = ds^T q / sqrt(headDim).
 */
import type { Window } from '../device.js';
import type { Backend } from './backend.js';
import { addBias, keysByHead, keysByToken, queriesByHead, queriesByToken, type Heads } from './heads.js';
import type { Kernels, Raw } from './kernels.js';
import { length, planPieces, type Piece, type Range } from './pieces.js';
import { RowSum } from './row-sum.js';

/** Queries (queryTokens, heads, headDim) at ascending `positions`, keys and values (tokens, kvHeads, headDim). */
export interface Inputs {
  readonly q: Raw;
  readonly k: Raw;
  readonly v: Raw;
  readonly positions: Int32Array;
}

/** `lse` is the log of the sum of exponentials of each row of scores, (queryTokens, heads). */
export interface Result {
  readonly out: Raw;
  readonly lse: Raw;
}

export interface Gradients {
  readonly dq: Raw;
  readonly dk: Raw;
  readonly dv: Raw;
}

export function attend(backend: Backend, inputs: Inputs, window?: Window): Result {
  const { kernels } = backend;
  const heads = headsOf(inputs);
  const parts = plan(inputs, window).map((piece) => kernels.tidy(() => attendPiece(backend, inputs, heads, piece)));
  const out = join(
    kernels,
    parts.map((part) => part.out),
  );
  const lse = join(
    kernels,
    parts.map((part) => part.lse),
  );
  return { out, lse };
}

export function attendBackward(backend: Backend, dOut: Raw, inputs: Inputs, forward: Result, window?: Window): Gradients {
  const { kernels } = backend;
  const heads = headsOf(inputs);
  return kernels.tidy(() => {
    const dk = new KeyGradient(kernels, heads);
    const dv = new KeyGradient(kernels, heads);
    const dq = plan(inputs, window).map((piece) => {
      const part = kernels.tidy(() => backwardPiece(backend, dOut, inputs, forward, heads, piece));
      dk.add(part.dk, piece.keys);
      dv.add(part.dv, piece.keys);
      return part.dq;
    });
    const tokens = inputs.k.shape[0] ?? 0;
    return { dq: join(kernels, dq), dk: dk.total(tokens), dv: dv.total(tokens) };
  });
}

function attendPiece(backend: Backend, inputs: Inputs, heads: Heads, piece: Piece): { out: Raw; lse: Raw } {
  const { kernels } = backend;
  const { scores } = scoresOf(backend, inputs, heads, piece);
  const p = kernels.softmax(scores);
  const out = backend.batched(p, keysByHead(kernels, rowsOf(kernels, inputs.v, piece.keys), heads));
  // The largest probability of a row is exp(largest score - lse).
  const lse = kernels.sub(kernels.maxLast(scores), kernels.log(kernels.maxLast(p)));
  return { out: queriesByToken(kernels, out, heads), lse: perQuery(kernels, queriesByToken(kernels, lse, heads)) };
}

function backwardPiece(backend: Backend, dOut: Raw, inputs: Inputs, forward: Result, heads: Heads, piece: Piece): Gradients {
  const { kernels } = backend;
  const forQueries = (x: Raw): Raw => queriesByHead(kernels, rowsOf(kernels, x, [piece.queries]), heads);
  const { scores, q, k } = scoresOf(backend, inputs, heads, piece);
  const v = keysByHead(kernels, rowsOf(kernels, inputs.v, piece.keys), heads);
  const d = forQueries(dOut); // (kvHeads, group * queries, headDim)
  const p = kernels.exp(kernels.sub(scores, forQueries(withWidth(kernels, forward.lse))));
  const rowSums = kernels.sum(kernels.mul(d, forQueries(forward.out)), 2, true);
  const dScores = kernels.mul(p, kernels.sub(backend.batched(d, v, { b: 'transposed' }), rowSums));
  return {
    dq: queriesByToken(kernels, kernels.scale(backend.batched(dScores, k), scaleOf(heads)), heads),
    dk: keysByToken(kernels, backend.batched(dScores, q, { a: 'transposed' }), heads),
    dv: keysByToken(kernels, backend.batched(p, d, { a: 'transposed' }), heads),
  };
}

/** Scores (kvHeads, group * queries, keys) of a piece, with the scaled queries and the keys they are made of. */
function scoresOf(backend: Backend, inputs: Inputs, heads: Heads, piece: Piece): { scores: Raw; q: Raw; k: Raw } {
  const { kernels } = backend;
  const q = kernels.scale(queriesByHead(kernels, rowsOf(kernels, inputs.q, [piece.queries]), heads), scaleOf(heads));
  const k = keysByHead(kernels, rowsOf(kernels, inputs.k, piece.keys), heads);
  return { scores: addBias(kernels, backend.batched(q, k, { b: 'transposed' }), piece.bias, heads), q, k };
}

/** The gradient of keys or values: sinks, which every piece reaches, apart from the range that moves with the queries. */
class KeyGradient {
  readonly #kernels: Kernels;
  readonly #sinks: RowSum;
  readonly #moving: RowSum;
  #sinkRows = 0;

  constructor(kernels: Kernels, { kvHeads, headDim }: Heads) {
    this.#kernels = kernels;
    this.#sinks = new RowSum(kernels, [kvHeads, headDim]);
    this.#moving = new RowSum(kernels, [kvHeads, headDim]);
  }

  /** Adds what one piece gives to its `keys`; takes `part` over. */
  add(part: Raw, keys: readonly Range[]): void {
    const [first, second] = keys;
    if (!first) return;
    if (!second) {
      this.#moving.add(part, first.start);
      return;
    }
    this.#sinkRows = first.end;
    this.#sinks.add(this.#kernels.slice(part, 0, 0, length(first)), first.start);
    this.#moving.add(this.#kernels.slice(part, 0, length(first), length(second)), second.start);
    part.dispose();
  }

  total(tokens: number): Raw {
    const moving = this.#moving.total(tokens);
    if (this.#sinkRows === 0) return moving;
    return this.#kernels.add(moving, this.#kernels.padRows(this.#sinks.total(this.#sinkRows), 0, tokens - this.#sinkRows));
  }
}

function plan(inputs: Inputs, window?: Window): Piece[] {
  return planPieces(inputs.positions, inputs.k.shape[0] ?? 0, inputs.q.shape[1] ?? 0, window);
}

function headsOf({ q, k }: Inputs): Heads {
  const [, heads = 0, headDim = 0] = q.shape;
  const kvHeads = k.shape[1] ?? 0;
  return { kvHeads, group: heads / kvHeads, headDim };
}

/** The rows in `ranges`, one after the other; x itself when that is all of it. */
export function rowsOf(kernels: Kernels, x: Raw, ranges: readonly Range[]): Raw {
  const parts = ranges.map((range) => (length(range) === x.shape[0] ? x : kernels.slice(x, 0, range.start, length(range))));
  const [only] = parts;
  return parts.length === 1 && only ? only : kernels.concat(parts, 0);
}

/** The parts below each other; frees them. */
export function join(kernels: Kernels, parts: readonly Raw[]): Raw {
  const joined = kernels.concat(parts, 0);
  for (const part of parts) part.dispose();
  return joined;
}

export function scaleOf({ headDim }: Heads): number {
  return 1 / Math.sqrt(headDim);
}

/** (queries, heads, 1) as (queries, heads). */
function perQuery(kernels: Kernels, x: Raw): Raw {
  return kernels.reshape(x, x.shape.slice(0, 2));
}

function withWidth(kernels: Kernels, x: Raw): Raw {
  return kernels.reshape(x, [...x.shape, 1]);
}
