/** A few small operations against float64 on the host: what `duo doctor` and set-up ask of a device before trusting it. */
import { at } from '../errors.js';
import { windowSees } from './device.js';
import type { AttentionInputs, Device, Tensor, Window } from './device.js';

/** Largest absolute difference of each operation. */
export interface SelfTest {
  readonly matmul: number;
  readonly causalAttention: number;
  readonly streamingAttention: number;
  readonly passed: boolean;
}

/** Values are of order one and sums have at most 24 terms: float32 stays well below this. */
const TOLERANCE = 1e-5;
const TOKENS = 24;
const KV_HEADS = 2;
const HEADS = 4;
const HEAD_DIM = 8;
const WINDOW: Window = { sink: 2, recent: 5, block: 1 };

/** Runs the self-test; frees what it makes. */
export function selfTest(device: Device): SelfTest {
  return device.scope(() => {
    const matmul = matmulError(device);
    const causalAttention = attentionError(device, undefined);
    const streamingAttention = attentionError(device, WINDOW);
    // Written so that NaN fails.
    const passed = [matmul, causalAttention, streamingAttention].every((error) => error <= TOLERANCE);
    return { matmul, causalAttention, streamingAttention, passed };
  });
}

/** Numbers in [-1, 1] that look irregular; the same on every machine up to rounding. */
function wave(length: number, phase: number): Float32Array {
  return Float32Array.from({ length }, (_, index) => Math.sin(phase + 1.7 * index + 0.013 * index * index));
}

function matmulError(device: Device): number {
  const [rows, inner, columns] = [5, 24, 7];
  const [x, weight] = [wave(rows * inner, 1), wave(columns * inner, 2)];
  const got = device.download(device.matmul(device.upload(x.slice(), [rows, inner]), device.upload(weight.slice(), [columns, inner])));
  const expected = Array.from({ length: rows * columns }, (_, index) => {
    const [row, column] = [Math.floor(index / columns), index % columns];
    return dot(x, row * inner, weight, column * inner, inner);
  });
  return largestDifference(got, expected);
}

function attentionError(device: Device, window: Window | undefined): number {
  const [q, k, v] = [wave(TOKENS * HEADS * HEAD_DIM, 3), wave(TOKENS * KV_HEADS * HEAD_DIM, 4), wave(TOKENS * KV_HEADS * HEAD_DIM, 5)];
  const upload = (values: Float32Array, heads: number): Tensor => device.upload(values.slice(), [TOKENS, heads, HEAD_DIM]);
  const inputs: AttentionInputs = { q: upload(q, HEADS), k: upload(k, KV_HEADS), v: upload(v, KV_HEADS) };
  const result = window === undefined ? device.causalAttention(inputs) : device.streamingAttention(inputs, window);
  return largestDifference(device.download(result.out), hostAttention(q, k, v, window));
}

/** Attention in float64 from its definition: softmax(q k / sqrt(headDim)) v over the keys each query sees. */
function hostAttention(q: Float32Array, k: Float32Array, v: Float32Array, window: Window | undefined): number[] {
  const out: number[] = [];
  for (let token = 0; token < TOKENS; token++)
    for (let head = 0; head < HEADS; head++) {
      const kvHead = Math.floor(head / (HEADS / KV_HEADS));
      const row = (key: number): number => (key * KV_HEADS + kvHead) * HEAD_DIM;
      const keys = Array.from({ length: token + 1 }, (_, key) => key).filter((key) => !window || windowSees(window, token, key));
      const weights = keys.map((key) => Math.exp(dot(q, (token * HEADS + head) * HEAD_DIM, k, row(key), HEAD_DIM) / Math.sqrt(HEAD_DIM)));
      const total = weights.reduce((sum, weight) => sum + weight, 0);
      for (let dim = 0; dim < HEAD_DIM; dim++)
        out.push(keys.reduce((sum, key, index) => sum + (at(weights, index) / total) * at(v, row(key) + dim), 0));
    }
  return out;
}

function dot(a: Float32Array, aStart: number, b: Float32Array, bStart: number, length: number): number {
  let sum = 0;
  for (let index = 0; index < length; index++) sum += at(a, aStart + index) * at(b, bStart + index);
  return sum;
}

function largestDifference(got: Float32Array, expected: readonly number[]): number {
  if (got.length !== expected.length) return Number.POSITIVE_INFINITY;
  // Math.max gives NaN as soon as one difference is NaN.
  return Math.max(...expected.map((value, index) => Math.abs(value - at(got, index))));
}
