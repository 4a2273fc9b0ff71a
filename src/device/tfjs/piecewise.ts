/** What every attention does with its pieces: take their rows, score them, and put the results together again. */
import { at } from '../../errors.js';
import type { Backend } from './backend.js';
import { addBias, keysByHead, queriesByHead, type Heads } from './heads.js';
import type { Kernels, Raw } from './kernels.js';
import { length, type Piece, type Range } from './pieces.js';

/** Queries (queries, heads, headDim), keys and values (keys, kvHeads, headDim). */
export interface Tensors {
  readonly q: Raw;
  readonly k: Raw;
  readonly v: Raw;
}

export function headsOf({ q, k }: Tensors): Heads {
  const [, heads = 0, headDim = 0] = q.shape;
  const kvHeads = k.shape[1] ?? 0;
  return { kvHeads, group: heads / kvHeads, headDim };
}

/** Whether all heads are computed as one batch of matrices, or one KV head after the other. */
export function headsTogether(backend: Backend, tensors: Tensors): boolean {
  const { group, kvHeads } = headsOf(tensors);
  return kvHeads === 1 || backend.fastBatches((tensors.q.shape[0] ?? 0) * group);
}

/** Runs `body` on all heads at once or on one KV head after the other, joining the heads of its results. */
export function perHeads<Some extends Tensors & Record<keyof Some, Raw>, Name extends string>(
  backend: Backend,
  tensors: Some,
  body: (tensors: Some) => Record<Name, Raw>,
): Record<Name, Raw> {
  const { kernels } = backend;
  if (headsTogether(backend, tensors)) return kernels.tidy(() => body(tensors));
  const { kvHeads } = headsOf(tensors);
  return kernels.tidy(() => {
    const apart = mapRecord(tensors, (x) => byKvHead(kernels, x, kvHeads));
    const parts = Array.from({ length: kvHeads }, (_, kvHead) =>
      kernels.tidy(() => body(mapRecord(apart, (x, name) => headsOfOne(kernels, x, kvHead, tensors[name].shape)))),
    );
    return joinEach(kernels, parts, 1);
  });
}

/** Runs `body` on each piece and joins the rows of its results. */
export function perPiece<Name extends string>(
  kernels: Kernels,
  pieces: readonly Piece[],
  body: (piece: Piece) => Record<Name, Raw>,
): Record<Name, Raw> {
  return joinEach(
    kernels,
    pieces.map((piece) => kernels.tidy(() => body(piece))),
    0,
  );
}

/** A piece's matrices, one per KV head, with the scores of its queries and keys. */
interface Scored {
  readonly scores: Raw; // (kvHeads, group * queries, keys)
  readonly q: Raw; // (kvHeads, group * queries, headDim), times 1 / sqrt(headDim)
  readonly k: Raw; // (kvHeads, keys, headDim)
  readonly v: Raw; // (kvHeads, keys, headDim)
}

export function score(backend: Backend, tensors: Tensors, piece: Piece): Scored {
  const { kernels } = backend;
  const heads = headsOf(tensors);
  const keys = (x: Raw): Raw => keysByHead(kernels, rowsOf(kernels, x, piece.keys), heads);
  const queries = queriesByHead(kernels, rowsOf(kernels, tensors.q, [piece.queries]), heads);
  const [q, k] = [kernels.scale(queries, scaleOf(heads)), keys(tensors.k)];
  const scores = kernels.tidy(() => {
    const products = backend.batched(q, k, { b: 'transposed' });
    const bias = piece.bias();
    return bias ? addBias(kernels, products, bias, heads) : products;
  });
  return { scores, q, k, v: keys(tensors.v) };
}

/** Softmax of scores that are not needed any more: frees them, since they are what makes a piece large. */
export function softmaxInstead(kernels: Kernels, scores: Raw): Raw {
  const p = kernels.softmax(scores);
  scores.dispose();
  return p;
}

/** The rows in `ranges`, one after the other; x itself when that is all of it. */
export function rowsOf(kernels: Kernels, x: Raw, ranges: readonly Range[]): Raw {
  const parts = ranges.map((range) => (length(range) === x.shape[0] ? x : kernels.slice(x, 0, range.start, length(range))));
  const [only] = parts;
  return parts.length === 1 && only ? only : kernels.concat(parts, 0);
}

/** The parts one after the other along `axis`; frees them. */
export function join(kernels: Kernels, parts: readonly Raw[], axis = 0): Raw {
  const joined = kernels.concat(parts, axis);
  for (const part of parts) part.dispose();
  return joined;
}

export function scaleOf({ headDim }: Heads): number {
  return 1 / Math.sqrt(headDim);
}

function joinEach<Name extends string>(kernels: Kernels, parts: readonly Record<Name, Raw>[], axis: number): Record<Name, Raw> {
  const joined = (name: Name): Raw =>
    join(
      kernels,
      parts.map((part) => part[name]),
      axis,
    );
  return mapRecord(at(parts, 0), (_, name) => joined(name));
}

/** (rows, heads, headDim) as (kvHeads, rows, heads / kvHeads * headDim), so that the heads of one KV head lie together. */
function byKvHead(kernels: Kernels, x: Raw, kvHeads: number): Raw {
  const rows = x.shape[0] ?? 0;
  return kernels.transpose(kernels.reshape(x, [rows, kvHeads, x.size / (rows * kvHeads)]), [1, 0, 2]);
}

/** The heads of one KV head, (rows, heads / kvHeads, headDim), of a tensor that had `shape` before `byKvHead`. */
function headsOfOne(kernels: Kernels, apart: Raw, kvHead: number, shape: readonly number[]): Raw {
  const [rows = 0, heads = 0, headDim = 0] = shape;
  return kernels.reshape(kernels.slice(apart, 0, kvHead, 1), [rows, heads / (apart.shape[0] ?? 1), headDim]);
}

function mapRecord<Some extends Readonly<Record<keyof Some, Raw>>>(record: Some, map: (x: Raw, name: keyof Some & string) => Raw): Some {
  const names = Object.keys(record) as (keyof Some & string)[];
  return Object.fromEntries(names.map((name) => [name, map(record[name], name)])) as unknown as Some;
}
