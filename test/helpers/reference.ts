/**
 * What the device's operations compute, in float64 and as plainly as it can be written: loops over the definitions of
 * src/device/device.ts. Gradients are central differences of these.
 */
import { windowSees, type Window } from '../../src/device/device.js';
import { at } from '../../src/errors.js';

export type Numbers = ArrayLike<number>;

/** x (rows, inner) times the transpose of w (out, inner). */
export function matmul(x: Numbers, w: Numbers, inner: number): Float64Array {
  const [rows, out] = [x.length / inner, w.length / inner];
  return fill(rows * out, (i) => {
    const [row, column] = [Math.floor(i / out), i % out];
    return sum(inner, (n) => at(x, row * inner + n) * at(w, column * inner + n));
  });
}

export function rmsNorm(x: Numbers, weight: Numbers, eps: number): Float64Array {
  const width = weight.length;
  return fill(x.length, (i) => {
    const row = i - (i % width);
    const meanSquare = sum(width, (n) => at(x, row + n) ** 2) / width;
    return (at(x, i) / Math.sqrt(meanSquare + eps)) * at(weight, i % width);
  });
}

/** x (tokens, heads, headDim); cos and sin (tokens, headDim / 2). */
export function rope(x: Numbers, cos: Numbers, sin: Numbers, heads: number, headDim: number): Float64Array {
  const half = headDim / 2;
  return fill(x.length, (i) => {
    const element = i % headDim;
    const angle = Math.floor(i / (heads * headDim)) * half + (element % half);
    const partner = element < half ? -at(x, i + half) : at(x, i - half);
    return at(x, i) * at(cos, angle) + partner * at(sin, angle);
  });
}

export function swiglu(gate: Numbers, up: Numbers): Float64Array {
  return fill(gate.length, (i) => (at(gate, i) / (1 + Math.exp(-at(gate, i)))) * at(up, i));
}

/** Mix of full and stream (tokens, heads, headDim) by gates (kvHeads). */
export function mixGates(full: Numbers, stream: Numbers, gates: Numbers, heads: number, headDim: number): Float64Array {
  const group = heads / gates.length;
  return fill(full.length, (i) => {
    const g = at(gates, Math.floor((Math.floor(i / headDim) % heads) / group));
    return g * at(full, i) + (1 - g) * at(stream, i);
  });
}

export function meanSquaredError(teacher: Numbers, student: Numbers): number {
  return sum(teacher.length, (i) => (at(teacher, i) - at(student, i)) ** 2) / teacher.length;
}

export interface AttentionShape {
  readonly heads: number;
  readonly kvHeads: number;
  readonly headDim: number;
}

/** Which keys, by row, a query, by row, sees; for the KV head given. */
export type Sees = (query: number, key: number, kvHead: number) => boolean;

/** Sees of queries at `positions` and keys at their row's position. */
export function seesAt(positions: Numbers, window?: Window): Sees {
  return (query, key) => (window ? windowSees(window, at(positions, query), key) : key <= at(positions, query));
}

/** Softmax attention with scale 1/sqrt(headDim): out (queries, heads, headDim) and lse (queries, heads). */
export function attention(
  q: Numbers,
  k: Numbers,
  v: Numbers,
  shape: AttentionShape,
  sees: Sees,
): { readonly out: Float64Array; readonly lse: Float64Array } {
  const { heads, kvHeads, headDim } = shape;
  const queries = q.length / (heads * headDim);
  const keys = k.length / (kvHeads * headDim);
  const out = new Float64Array(q.length);
  const lse = new Float64Array(queries * heads);
  for (let row = 0; row < queries * heads; row++) {
    const [query, head] = [Math.floor(row / heads), row % heads];
    const kvHead = Math.floor(head / (heads / kvHeads));
    const visible = Array.from({ length: keys }, (_, key) => key).filter((key) => sees(query, key, kvHead));
    const keyAt = (key: number, n: number): number => (key * kvHeads + kvHead) * headDim + n;
    const scores = visible.map((key) => sum(headDim, (n) => at(q, row * headDim + n) * at(k, keyAt(key, n))) / Math.sqrt(headDim));
    const largest = Math.max(...scores);
    const weights = scores.map((score) => Math.exp(score - largest));
    const total = sum(weights.length, (i) => at(weights, i));
    lse[row] = largest + Math.log(total);
    for (let n = 0; n < headDim; n++) {
      out[row * headDim + n] = sum(visible.length, (i) => at(weights, i) * at(v, keyAt(at(visible, i), n))) / total;
    }
  }
  return { out, lse };
}

/** Gradient of a scalar function at x, by central differences. */
export function numericGradient(f: (x: Float64Array) => number, x: Numbers, step = 1e-4): Float64Array {
  const point = Float64Array.from(x);
  return fill(point.length, (i) => {
    const value = at(point, i);
    point[i] = value + step;
    const above = f(point);
    point[i] = value - step;
    const below = f(point);
    point[i] = value;
    return (above - below) / (2 * step);
  });
}

export function dot(a: Numbers, b: Numbers): number {
  return sum(a.length, (i) => at(a, i) * at(b, i));
}

function sum(count: number, term: (i: number) => number): number {
  let total = 0;
  for (let i = 0; i < count; i++) total += term(i);
  return total;
}

function fill(length: number, value: (i: number) => number): Float64Array {
  const filled = new Float64Array(length);
  for (let i = 0; i < length; i++) filled[i] = value(i);
  return filled;
}
