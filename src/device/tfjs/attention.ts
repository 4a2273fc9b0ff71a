/**
 * Attention over keys at positions 0..tokens-1, causal or with a streaming window, forward and backward, piece by
 * piece (see pieces.ts). Grouped queries share their keys without a copy: the queries of a group are rows of one matrix.
 *
 * With s = q k^T / sqrt(headDim) and p = softmax(s), the gradients are
 *   dv = p^T dOut,  ds = p (dOut v^T - rowsum(dOut out)),  dq = ds k / sqrt(headDim),  dk = ds^T q / sqrt(headDim).
 */
import type { Window } from '../device.js';
import type { Backend } from './backend.js';
import { keysByToken, queriesByHead, queriesByToken, type Heads } from './heads.js';
import type { Kernels, Raw } from './kernels.js';
import { headsOf, headsTogether, join, perHeads, perPiece, rowsOf, scaleOf, score, softmaxInstead, type Tensors } from './piecewise.js';
import { length, planPieces, type Piece, type Range } from './pieces.js';
import { RowSum } from './row-sum.js';

/** Queries (queryTokens, heads, headDim) at ascending `positions`, keys and values (tokens, kvHeads, headDim). */
export interface Inputs extends Tensors {
  readonly positions: Int32Array;
}

/** What the backward needs beside the inputs: the result, and the gradient to it. */
interface BackwardTensors extends Tensors {
  readonly out: Raw; // (queryTokens, heads, headDim)
  readonly dOut: Raw;
}

/** `lse` is the log of the sum of exponentials of each row of scores, (queryTokens, heads). */
type Result = Record<'out' | 'lse', Raw>;
type Gradients = Record<'dq' | 'dk' | 'dv', Raw>;

export function attend(backend: Backend, inputs: Inputs, window?: Window): Result {
  const { q, k, v } = inputs;
  const pieces = plan(backend, inputs, window);
  return perHeads(backend, { q, k, v }, (own) => perPiece(backend.kernels, pieces, (piece) => attendPiece(backend, own, piece)));
}

export function attendBackward(backend: Backend, dOut: Raw, inputs: Inputs, out: Raw, window?: Window): Gradients {
  const { q, k, v } = inputs;
  const pieces = plan(backend, inputs, window);
  return perHeads(backend, { q, k, v, out, dOut }, (own) => backwardPieces(backend, own, pieces));
}

function attendPiece(backend: Backend, tensors: Tensors, piece: Piece): Result {
  const { kernels } = backend;
  const heads = headsOf(tensors);
  const { scores, v } = score(backend, tensors, piece);
  const p = kernels.softmax(scores);
  // The largest probability of a row is exp(largest score - lse).
  const lse = queriesByToken(kernels, kernels.sub(kernels.maxLast(scores), kernels.log(kernels.maxLast(p))), heads);
  return { out: queriesByToken(kernels, backend.batched(p, v), heads), lse: kernels.reshape(lse, lse.shape.slice(0, 2)) };
}

function backwardPieces(backend: Backend, tensors: BackwardTensors, pieces: readonly Piece[]): Gradients {
  const { kernels } = backend;
  const heads = headsOf(tensors);
  const dk = new KeyGradient(kernels, heads);
  const dv = new KeyGradient(kernels, heads);
  const dq = pieces.map((piece) => {
    const part = kernels.tidy(() => backwardPiece(backend, tensors, piece));
    dk.add(part.dk, piece.keys);
    dv.add(part.dv, piece.keys);
    return part.dq;
  });
  const tokens = tensors.k.shape[0] ?? 0;
  return { dq: join(kernels, dq), dk: dk.total(tokens), dv: dv.total(tokens) };
}

/** Recomputes the probabilities by softmax: a piece has every key its queries see, so that `lse` is not needed. */
function backwardPiece(backend: Backend, tensors: BackwardTensors, piece: Piece): Gradients {
  const { kernels } = backend;
  const heads = headsOf(tensors);
  const ofPiece = (x: Raw): Raw => queriesByHead(kernels, rowsOf(kernels, x, [piece.queries]), heads);
  const { scores, q, k, v } = score(backend, tensors, piece);
  const p = softmaxInstead(kernels, scores);
  const dOut = ofPiece(tensors.dOut); // (kvHeads, group * queries, headDim)
  const rowSums = kernels.sum(kernels.mul(dOut, ofPiece(tensors.out)), 2, true);
  const dScores = kernels.tidy(() => kernels.mul(p, kernels.sub(backend.batched(dOut, v, { b: 'transposed' }), rowSums)));
  return {
    dq: queriesByToken(kernels, kernels.scale(backend.batched(dScores, k), scaleOf(heads)), heads),
    dk: keysByToken(kernels, backend.batched(dScores, q, { a: 'transposed' }), heads),
    dv: keysByToken(kernels, backend.batched(p, dOut, { a: 'transposed' }), heads),
  };
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

function plan(backend: Backend, inputs: Inputs, window?: Window): Piece[] {
  const { kvHeads, group } = headsOf(inputs);
  const heads = headsTogether(backend, inputs) ? kvHeads * group : group;
  return planPieces(inputs.positions, inputs.k.shape[0] ?? 0, heads, window);
}
