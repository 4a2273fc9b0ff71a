/**
 * The plain device: every operation composed of stock TensorFlow.js kernels in float32, on TensorFlow or on
 * WebAssembly. It is the oracle of the others, which extend it and replace what they do faster.
 */
import { InternalError } from '../../errors.js';
import type {
  Attention,
  AttentionGradients,
  AttentionInputs,
  Device,
  DeviceMemory,
  DeviceName,
  KeyValues,
  Tensor,
  Window,
} from '../device.js';
import { attend, attendBackward, type Inputs } from './attention.js';
import type { Backend } from './backend.js';
import { mixGates, mixGatesBackward } from './gates.js';
import { attendHybrid } from './hybrid.js';
import { Kernels, type Raw, type Tfjs } from './kernels.js';
import { meanSquaredError, meanSquaredErrorBackward } from './loss.js';
import { handleOf, Memory, rawOf, type Handle } from './memory.js';
import { swiglu, swigluBackward } from './mlp.js';
import { rmsNorm, rmsNormBackward } from './norm.js';
import { consecutive } from './pieces.js';
import { bothHalves, rotate, signedHalves } from './rope.js';
import { copyRows, gatherRows, gatherRowsBackward } from './rows.js';
import { Tensorflow } from './tensorflow.js';
import { Wasm } from './wasm.js';
import { WasmKernels } from './wasm-kernels.js';

export interface TfjsDeviceOptions {
  readonly name: Extract<DeviceName, 'tensorflow' | 'wasm'>;
  readonly description: string;
}

export class TfjsDevice implements Device {
  readonly name: DeviceName;
  readonly description: string;
  readonly kernels: 'fused' | 'plain' = 'plain';
  protected readonly k: Kernels;
  protected readonly owner = new Memory();
  readonly #backend: Backend;

  /** A device over the backend that is active, and initialised, in the TensorFlow.js namespace `tf`. */
  constructor(tf: Tfjs, options: TfjsDeviceOptions) {
    this.name = options.name;
    this.description = options.description;
    this.#backend = tf.getBackend() === 'wasm' ? new Wasm(new WasmKernels(tf)) : new Tensorflow(new Kernels(tf));
    this.k = this.#backend.kernels;
  }

  get uploads(): 'copied' | 'kept' {
    return this.#backend.uploads;
  }

  // Memory

  upload(values: Float32Array, shape: readonly number[]): Tensor {
    return this.#upload(values, shape);
  }

  uploadInts(values: Int32Array, shape: readonly number[]): Tensor {
    return this.#upload(values, shape);
  }

  zeros(shape: readonly number[]): Tensor {
    return this.own(this.k.fill(shape, 0));
  }

  download(tensor: Tensor): Float32Array {
    return this.k.read(checkDtype(tensor, 'f32')) as Float32Array;
  }

  downloadInts(tensor: Tensor): Int32Array {
    return this.k.read(checkDtype(tensor, 'i32')) as Int32Array;
  }

  free(...tensors: readonly Tensor[]): void {
    for (const tensor of tensors) this.owner.free(tensor as Handle);
  }

  scope<T>(body: () => T): T {
    return this.owner.scope(body);
  }

  memory(): DeviceMemory {
    return this.owner.usage();
  }

  resetPeak(): void {
    this.owner.resetPeak();
  }

  // Shape and rows

  reshape(x: Tensor, shape: readonly number[]): Tensor {
    const handle = handleOf(x);
    return this.owner.share(this.k.reshape(handle.raw, shape), handle);
  }

  gatherRows(x: Tensor, indices: Int32Array): Tensor {
    return this.own(gatherRows(this.k, rawOf(x), indices));
  }

  gatherRowsBackward(dy: Tensor, indices: Int32Array, rows: number): Tensor {
    return this.own(gatherRowsBackward(this.k, rawOf(dy), indices, rows));
  }

  sliceRows(x: Tensor, start: number, count: number): Tensor {
    return this.own(copyRows(this.k, rawOf(x), start, count));
  }

  concatRows(parts: readonly Tensor[]): Tensor {
    return this.own(this.k.concat(parts.map(rawOf), 0));
  }

  gatherHeads(x: Tensor, heads: readonly number[]): Tensor {
    return this.own(this.k.gather(rawOf(x), heads, 1));
  }

  writeRows(buffer: Tensor, rows: Tensor, start: number): Tensor {
    const result = this.own(this.#backend.writeRows(rawOf(buffer), rawOf(rows), start));
    this.free(buffer);
    return result;
  }

  // Operations

  matmul(x: Tensor, weight: Tensor): Tensor {
    const transposed = this.#transposed(handleOf(weight));
    return this.own(transposed ? this.k.product(rawOf(x), transposed) : this.#backend.project(rawOf(x), rawOf(weight)));
  }

  matmulBackward(dy: Tensor, weight: Tensor): Tensor {
    return this.own(this.k.product(rawOf(dy), rawOf(weight)));
  }

  embed(table: Tensor, ids: Int32Array): Tensor {
    return this.gatherRows(table, ids);
  }

  add(a: Tensor, b: Tensor): Tensor {
    return this.own(this.k.add(rawOf(a), rawOf(b)));
  }

  rmsNorm(x: Tensor, weight: Tensor, eps: number): Tensor {
    return this.own(rmsNorm(this.k, rawOf(x), rawOf(weight), eps));
  }

  rmsNormBackward(dy: Tensor, x: Tensor, weight: Tensor, eps: number): Tensor {
    return this.own(rmsNormBackward(this.k, rawOf(dy), rawOf(x), rawOf(weight), eps));
  }

  rope(x: Tensor, cos: Tensor, sin: Tensor): Tensor {
    return this.#rotate(x, cos, sin, 'forward');
  }

  ropeBackward(dy: Tensor, cos: Tensor, sin: Tensor): Tensor {
    return this.#rotate(dy, cos, sin, 'backward');
  }

  swiglu(gate: Tensor, up: Tensor): Tensor {
    return this.own(swiglu(this.k, rawOf(gate), rawOf(up)));
  }

  swigluBackward(dy: Tensor, gate: Tensor, up: Tensor): { dGate: Tensor; dUp: Tensor } {
    return this.ownAll(swigluBackward(this.k, rawOf(dy), rawOf(gate), rawOf(up)));
  }

  causalAttention(inputs: AttentionInputs): Attention {
    return this.ownAll(attend(this.#backend, rawInputs(inputs)));
  }

  causalAttentionBackward(dOut: Tensor, inputs: AttentionInputs, forward: Attention): AttentionGradients {
    return this.ownAll(attendBackward(this.#backend, rawOf(dOut), rawInputs(inputs), rawOf(forward.out)));
  }

  streamingAttention(inputs: AttentionInputs, window: Window): Attention {
    return this.ownAll(attend(this.#backend, rawInputs(inputs), window));
  }

  streamingAttentionBackward(dOut: Tensor, inputs: AttentionInputs, forward: Attention, window: Window): AttentionGradients {
    return this.ownAll(attendBackward(this.#backend, rawOf(dOut), rawInputs(inputs), rawOf(forward.out), window));
  }

  hybridAttention(q: Tensor, groups: readonly KeyValues[], queryStart: number): Tensor {
    const raws = groups.map((group) => ({ ...group, k: rawOf(group.k), v: rawOf(group.v) }));
    return this.own(attendHybrid(this.#backend, rawOf(q), raws, queryStart));
  }

  mixGates(full: Tensor, stream: Tensor, gates: Tensor): Tensor {
    return this.own(mixGates(this.k, rawOf(full), rawOf(stream), rawOf(gates)));
  }

  mixGatesBackward(dMix: Tensor, full: Tensor, stream: Tensor, gates: Tensor): { dFull: Tensor; dStream: Tensor; dGates: Tensor } {
    return this.ownAll(mixGatesBackward(this.k, rawOf(dMix), rawOf(full), rawOf(stream), rawOf(gates)));
  }

  maskedMse(teacher: Tensor, student: Tensor): Tensor {
    return this.own(meanSquaredError(this.k, rawOf(teacher), rawOf(student)));
  }

  maskedMseBackward(teacher: Tensor, student: Tensor): Tensor {
    return this.own(meanSquaredErrorBackward(this.k, rawOf(teacher), rawOf(student)));
  }

  argmax(x: Tensor): Tensor {
    return this.own(this.k.argMaxLast(rawOf(x)));
  }

  /** A tensor of this device over `raw`, which it takes over. */
  protected own(raw: Raw): Handle {
    return this.owner.own(raw);
  }

  protected ownAll<Name extends string>(raws: Readonly<Record<Name, Raw>>): Record<Name, Handle> {
    const entries = Object.entries<Raw>(raws).map(([name, raw]) => [name, this.own(raw)]);
    return Object.fromEntries(entries) as Record<Name, Handle>;
  }

  #upload(values: Float32Array | Int32Array, shape: readonly number[]): Handle {
    const size = shape.reduce((product, length) => product * length, 1);
    if (size !== values.length) throw new InternalError(`${values.length} values cannot fill shape (${shape.join(', ')})`);
    const raw = this.k.make(values, shape);
    this.#backend.settle(raw);
    return this.own(raw);
  }

  /** The weight's transposed copy, where the backend wants one and has room; the first weights used get theirs. */
  #transposed(weight: Handle): Raw | undefined {
    const known = weight.derived.get('transposed');
    if (known || this.owner.derivedBytes + weight.bytes > this.#backend.transposedWeightBytes) return known;
    return this.owner.derive(weight, 'transposed', () => this.k.transpose(weight.raw, [1, 0]));
  }

  #rotate(x: Tensor, cos: Tensor, sin: Tensor, direction: 'forward' | 'backward'): Tensor {
    const [cosines, sines] = [handleOf(cos), handleOf(sin)];
    const both = this.owner.derive(cosines, 'bothHalves', () => bothHalves(this.k, cosines.raw));
    const signed = this.owner.derive(sines, direction, () => signedHalves(this.k, sines.raw, direction));
    return this.own(rotate(this.k, rawOf(x), both, signed));
  }
}

function rawInputs({ q, k, v, queryPositions }: AttentionInputs): Inputs {
  const queryTokens = q.shape[0] ?? 0;
  if (queryPositions && queryPositions.length !== queryTokens) {
    throw new InternalError(`${queryPositions.length} positions were given for ${queryTokens} queries`);
  }
  return { q: rawOf(q), k: rawOf(k), v: rawOf(v), positions: queryPositions ?? consecutive(0, queryTokens) };
}

function checkDtype(tensor: Tensor, dtype: Tensor['dtype']): Raw {
  if (tensor.dtype !== dtype) throw new InternalError(`a ${tensor.dtype} tensor was read as ${dtype}`);
  return rawOf(tensor);
}
