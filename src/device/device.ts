/**
 * The device interface. Model, cache and calibration are written once against it.
 *
 * A device owns opaque tensors and about twenty operations. There is no autograd tape: an operation
 * that calibration needs has its backward beside it, named `<operation>Backward`, and a decoder layer
 * calls both by hand (src/model/layer.ts).
 *
 * Layout: activations are token-major. Hidden states are (tokens, hidden); queries, keys and values are
 * (tokens, heads, headDim), so that a projection's result needs no transpose. With grouped queries, query
 * head h belongs to KV head floor(h / (heads / kvHeads)).
 *
 * Ownership: every tensor returned belongs to the caller. `scope` frees what was made inside it; `free`
 * frees one by hand. Operations never change their inputs, but for `writeRows`, which consumes its buffer.
 * Calls are synchronous and run in the order of the calls.
 */

export type DeviceName = 'tensorflow' | 'wasm' | 'cuda';
export type Dtype = 'f32' | 'bf16' | 'f8' | 'i8' | 'i4' | 'i32';

/** An opaque tensor of one device. */
export interface Tensor {
  readonly shape: readonly number[];
  readonly dtype: Dtype;
  /** Bytes it occupies on the device. */
  readonly bytes: number;
}

/**
 * What a streaming head sees: key j is visible to query i iff j <= i and (j < sink or j is recent).
 * `block` 1 defines the window per token: recent means i - j < recent, the current token included.
 * `block` B > 1 is the reference's block window: sink and recent are whole blocks of B tokens, and j is recent
 * iff floor(j / B) > floor(i / B) - recent / B.
 * `reach` is the model's own window in a layer that has one: both rules must allow a key, so that i - j < reach as well, for sinks too.
 */
export interface Window {
  readonly sink: number;
  readonly recent: number;
  readonly block: number;
  /** Tokens seen at most, the current one included, counted per token whatever the block; absent: no limit. */
  readonly reach?: number;
}

/** Whether a streaming head's query at position `query` sees the key at position `key`. */
export function windowSees(window: Window, query: number, key: number): boolean {
  const { block, reach = Infinity } = window;
  if (key > query || query - key >= reach) return false;
  const sinkEnd = Math.ceil(window.sink / block) * block;
  if (key < sinkEnd) return true;
  return Math.floor(key / block) > Math.floor(query / block) - Math.ceil(window.recent / block);
}

/** Attention with what its backward needs: `lse` is the log of the sum of exponentials, (queryTokens, heads). */
export interface Attention {
  readonly out: Tensor; // (queryTokens, heads, headDim)
  readonly lse: Tensor; // (queryTokens, heads)
}

/** Inputs of calibration's attention. Keys are at positions 0..tokens-1. */
export interface AttentionInputs {
  readonly q: Tensor; // (queryTokens, heads, headDim)
  readonly k: Tensor; // (tokens, kvHeads, headDim)
  readonly v: Tensor; // (tokens, kvHeads, headDim)
  /** Position of each query, ascending; absent: query t is at position t and queryTokens = tokens. */
  readonly queryPositions?: Int32Array;
}

export interface AttentionGradients {
  readonly dq: Tensor;
  readonly dk: Tensor;
  readonly dv: Tensor;
}

/** One group of KV heads of a layer's cache, as one attention call sees it. */
export interface KeyValues {
  /** KV head numbers of this group within the layer, ascending; column n of k and v is head `kvHeads[n]`. */
  readonly kvHeads: readonly number[];
  readonly k: Tensor; // (rows >= keyCount, kvHeads.length, headDim)
  readonly v: Tensor;
  /** How many leading rows hold keys. */
  readonly keyCount: number;
  /** Absolute position of each key row, in any order; absent: row r is at position r. */
  readonly keyPositions?: Int32Array;
  /** The window that restricts these heads; absent: a query sees every key at or before its position. */
  readonly window?: Window;
}

export interface DeviceMemory {
  readonly tensors: number;
  readonly bytes: number;
  /** Highest `bytes` since the last `resetPeak`. */
  readonly peakBytes: number;
}

export interface Device {
  readonly name: DeviceName;
  /** For people and env.json, e.g. `TensorFlow 2.21.0 on the CPU, 2 threads, fused attention`. */
  readonly description: string;
  /** `fused`: attention runs in custom operations; `plain`: in the composite that is their oracle. */
  readonly kernels: 'fused' | 'plain';

  /**
   * `copied`: an uploaded array may be used again. `kept`: it stays the tensor's memory, without a copy if it starts on a
   * multiple of 64 bytes.
   */
  readonly uploads: 'copied' | 'kept';

  // Memory
  /** Takes over `values`: do not write to the array afterwards, unless `uploads` says that it was copied. */
  upload(values: Float32Array, shape: readonly number[]): Tensor;
  uploadInts(values: Int32Array, shape: readonly number[]): Tensor;
  zeros(shape: readonly number[]): Tensor;
  download(tensor: Tensor): Float32Array;
  downloadInts(tensor: Tensor): Int32Array;
  free(...tensors: readonly Tensor[]): void;
  /** Runs `body` and frees every tensor made inside, but those in its result (a tensor, or an array or object of them). */
  scope<T>(body: () => T): T;
  memory(): DeviceMemory;
  resetPeak(): void;

  // Shape and rows
  reshape(x: Tensor, shape: readonly number[]): Tensor;
  /** Rows `indices` of x, (indices.length, ...). */
  gatherRows(x: Tensor, indices: Int32Array): Tensor;
  /** Gradient of gatherRows: (rows, ...) with row `indices[n]` holding the sum of its dy rows, zero elsewhere. */
  gatherRowsBackward(dy: Tensor, indices: Int32Array, rows: number): Tensor;
  /** Rows start..start+count-1. */
  sliceRows(x: Tensor, start: number, count: number): Tensor;
  concatRows(parts: readonly Tensor[]): Tensor;
  /** Columns `heads` of a (tokens, n, headDim) tensor, in the order given. */
  gatherHeads(x: Tensor, heads: readonly number[]): Tensor;
  /** Writes `rows` (t, ...) into `buffer` (capacity, ...) from row `start`. Consumes `buffer`: go on with the result. */
  writeRows(buffer: Tensor, rows: Tensor, start: number): Tensor;

  // Operations
  /** x (tokens, in) times the transpose of weight (out, in): (tokens, out). */
  matmul(x: Tensor, weight: Tensor): Tensor;
  /** dy (tokens, out) times weight (out, in): (tokens, in). */
  matmulBackward(dy: Tensor, weight: Tensor): Tensor;
  /** Rows of `table` (vocab, hidden) for token ids: (tokens, hidden). */
  embed(table: Tensor, ids: Int32Array): Tensor;
  /** Sum; b may be (n) broadcast over the rows of a (tokens, n). */
  add(a: Tensor, b: Tensor): Tensor;
  /** x / sqrt(mean(x^2) + eps) * weight over the last dimension. */
  rmsNorm(x: Tensor, weight: Tensor, eps: number): Tensor;
  rmsNormBackward(dy: Tensor, x: Tensor, weight: Tensor, eps: number): Tensor;
  /** Rotary embedding, half-split: element i pairs with i + headDim/2. x (tokens, heads, headDim), cos and sin (tokens, headDim/2). */
  rope(x: Tensor, cos: Tensor, sin: Tensor): Tensor;
  ropeBackward(dy: Tensor, cos: Tensor, sin: Tensor): Tensor;
  /** silu(gate) * up. */
  swiglu(gate: Tensor, up: Tensor): Tensor;
  swigluBackward(dy: Tensor, gate: Tensor, up: Tensor): { readonly dGate: Tensor; readonly dUp: Tensor };
  /** Causal attention, scale 1/sqrt(headDim). */
  causalAttention(inputs: AttentionInputs): Attention;
  causalAttentionBackward(dOut: Tensor, inputs: AttentionInputs, forward: Attention): AttentionGradients;
  /** Attention of streaming heads: `window` decides which keys a query sees. */
  streamingAttention(inputs: AttentionInputs, window: Window): Attention;
  streamingAttentionBackward(dOut: Tensor, inputs: AttentionInputs, forward: Attention, window: Window): AttentionGradients;
  /**
   * Attention of one layer over a hybrid cache, forward only: query t, (tokens, heads, headDim), is at position queryStart + t; each
   * group serves the query heads of its KV heads. The groups together hold every KV head once. (tokens, heads, headDim).
   */
  hybridAttention(q: Tensor, groups: readonly KeyValues[], queryStart: number): Tensor;
  /** g * full + (1 - g) * stream per KV head; full and stream (tokens, heads, headDim), gates (kvHeads) already clamped to [0, 1]. */
  mixGates(full: Tensor, stream: Tensor, gates: Tensor): Tensor;
  mixGatesBackward(
    dMix: Tensor,
    full: Tensor,
    stream: Tensor,
    gates: Tensor,
  ): { readonly dFull: Tensor; readonly dStream: Tensor; readonly dGates: Tensor };
  /** Mean over all elements of (teacher - student)^2, a scalar; rows are the labelled tokens. */
  maskedMse(teacher: Tensor, student: Tensor): Tensor;
  /** Gradient of maskedMse to the student. */
  maskedMseBackward(teacher: Tensor, student: Tensor): Tensor;
  /** Index of the largest element of each row (the first of equals): (rows), i32. */
  argmax(x: Tensor): Tensor;
}
