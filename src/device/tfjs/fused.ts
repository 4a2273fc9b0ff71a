/** The native addon with our operations: the one file that knows them by name and how the TensorFlow binding runs them. */
import { createRequire } from 'node:module';
import { EnvironmentError, InternalError, MemoryError } from '../../errors.js';
import type { Window } from '../device.js';
import type { Raw, Tfjs } from './kernels.js';

/** Exports of native/ops/addon.cc. */
interface Addon {
  setThreads(threads: number): void;
  threads(): number;
  counters(): Record<string, number>;
  /** Floats per vector it was compiled for. */
  readonly lanes: number;
}

interface Metadata {
  readonly id: number;
  readonly shape: number[];
  readonly dtype: number;
}

interface Attribute {
  readonly name: string;
  readonly type: number;
  readonly value: number;
}

/** What we use of the binding's backend (@tensorflow/tfjs-node-gpu, dist/nodejs_kernel_backend.js). */
interface NodeBackend {
  readonly binding: {
    readonly TF_FLOAT: number;
    readonly TF_INT32: number;
    readonly TF_ATTR_INT: number;
    readonly TF_ATTR_TYPE: number;
    createTensor(shape: readonly number[], dtype: number, values: Int32Array): number;
    deleteTensor(id: number): void;
    executeOp(name: string, attributes: readonly Attribute[], inputs: readonly number[], outputs: number): Metadata[];
  };
  readonly tensorMap: { set(dataId: object, value: unknown): void };
  getInputTensorIds(tensors: readonly Raw[]): number[];
}

/** Inputs of an attention; `positions` absent: query t is at position t. */
export interface FusedInputs {
  readonly q: Raw; // (queries, heads, headDim)
  readonly k: Raw; // (tokens, kvHeads, headDim)
  readonly v: Raw;
  readonly positions?: Int32Array | undefined;
  readonly window?: Window | undefined;
}

/** One group of KV heads of a hybrid cache. */
export interface FusedGroup {
  readonly kvHeads: readonly number[];
  readonly k: Raw; // (rows, kvHeads.length, headDim)
  readonly v: Raw;
  readonly keyCount: number;
  readonly keyPositions?: Int32Array | undefined;
  readonly window?: Window | undefined;
}

const MAX_INT32 = 2 ** 31 - 1;
const NO_WINDOW = [0, 0, 0, 0];

/** Status of an allocation that failed, as the binding words it. */
const OUT_OF_MEMORY = 'Invalid TF_Status: 8';

/** Our operations over TensorFlow.js tensors. Results belong to the caller. */
export class FusedKernels {
  readonly #tf: Tfjs;
  readonly #addon: Addon;
  readonly #backend: NodeBackend;
  /** int32 tensors that many calls share, by their values; there are few: windows, epsilons, shapes. */
  readonly #constants = new Map<string, number>();

  /** Over the backend that is active in `tf`, which must be the Node binding's. */
  constructor(tf: Tfjs, addon: Addon) {
    this.#tf = tf;
    this.#addon = addon;
    this.#backend = tf.engine().backend as unknown as NodeBackend;
  }

  /** How often each operation has run in this process, by its name. */
  calls(): Readonly<Record<string, number>> {
    return this.#addon.counters();
  }

  /** Sets how many threads the operations use; results have the same bits for any number. */
  setThreads(threads: number): void {
    this.#addon.setThreads(threads);
  }

  /** out (queries, heads, headDim) and lse (queries, heads). */
  attention({ q, k, v, positions, window }: FusedInputs): { out: Raw; lse: Raw } {
    const [out, lse] = this.#run('DuoAttention', 2, [q, k, v, positions ?? this.#constant(), this.#constant(...windowOf(window))]);
    return { out: made(out), lse: made(lse) };
  }

  attentionBackward(dOut: Raw, inputs: FusedInputs, forward: { readonly out: Raw; readonly lse: Raw }): { dq: Raw; dk: Raw; dv: Raw } {
    const { q, k, v, positions, window } = inputs;
    const constants = [positions ?? this.#constant(), this.#constant(...windowOf(window))];
    const all = [dOut, q, k, v, forward.out, forward.lse, ...constants];
    const [dq, dk, dv] = this.#run('DuoAttentionBackward', 3, all);
    return { dq: made(dq), dk: made(dk), dv: made(dv) };
  }

  /** Attention over a hybrid cache, query t at position queryStart + t: (tokens, heads, headDim). */
  hybridAttention(q: Raw, groups: readonly FusedGroup[], queryStart: number): Raw {
    const settings = groups.flatMap(({ keyCount, window }) => [keyCount, ...windowOf(window)]);
    const inputs = [
      q,
      Int32Array.of(queryStart, ...settings),
      ...groups.map(({ k }) => k),
      ...groups.map(({ v }) => v),
      ...groups.map(({ keyPositions }) => keyPositions ?? this.#constant()),
      ...groups.map(({ kvHeads }) => this.#constant(...kvHeads)),
    ];
    const [out] = this.#run('DuoHybridAttention', 1, inputs, [
      { name: 'N', type: this.#backend.binding.TF_ATTR_INT, value: groups.length },
    ]);
    return made(out);
  }

  /** Writes rows into the memory of `buffer`; go on with the result, which shares it, and dispose of `buffer`. */
  writeRows(buffer: Raw, rows: Raw, start: number): Raw {
    return made(this.#run('DuoWriteRows', 1, [buffer, rows, Int32Array.of(start)])[0]);
  }

  /** Rows `indices` of x, copied. */
  gatherRows(x: Raw, indices: Int32Array): Raw {
    return made(this.#run('DuoGatherRows', 1, [x, indices])[0]);
  }

  /** Columns `heads` of x (tokens, n, headDim), copied. */
  gatherHeads(x: Raw, heads: readonly number[]): Raw {
    return made(this.#run('DuoGatherHeads', 1, [x, this.#constant(...heads)])[0]);
  }

  /** TensorFlow's own, without what TensorFlow.js does around it: x in another shape, sharing its memory. */
  reshape(x: Raw, shape: readonly number[]): Raw {
    const { TF_ATTR_TYPE: type, TF_FLOAT, TF_INT32 } = this.#backend.binding;
    const attributes = [
      { name: 'T', type, value: x.dtype === 'int32' ? TF_INT32 : TF_FLOAT },
      { name: 'Tshape', type, value: TF_INT32 },
    ];
    return made(this.#run('Reshape', 1, [x, this.#constant(...shape)], attributes)[0]);
  }

  /** a + b, with b of a's shape or of its last dimension alone. */
  add(a: Raw, b: Raw): Raw {
    return made(this.#run('DuoAdd', 1, [a, b])[0]);
  }

  /** x (rows, in) times the transpose of weight (out, in). */
  matmul(x: Raw, weight: Raw): Raw {
    return made(this.#run('DuoMatmul', 1, [x, weight])[0]);
  }

  /** dy (rows, out) times weight (out, in). */
  matmulBackward(dy: Raw, weight: Raw): Raw {
    return made(this.#run('DuoMatmulBackward', 1, [dy, weight])[0]);
  }

  rmsNorm(x: Raw, weight: Raw, eps: number): Raw {
    return made(this.#run('DuoRmsNorm', 1, [x, weight, this.#constant(bitsOf(eps))])[0]);
  }

  rmsNormBackward(dy: Raw, x: Raw, weight: Raw, eps: number): Raw {
    return made(this.#run('DuoRmsNormBackward', 1, [dy, x, weight, this.#constant(bitsOf(eps))])[0]);
  }

  /** x (tokens, heads, headDim) rotated by cos and sin (tokens, headDim / 2), or rotated back. */
  rotate(x: Raw, cos: Raw, sin: Raw, direction: 'forward' | 'backward'): Raw {
    return made(this.#run('DuoRotate', 1, [x, cos, sin, this.#constant(direction === 'forward' ? 1 : -1)])[0]);
  }

  swiglu(gate: Raw, up: Raw): Raw {
    return made(this.#run('DuoSwiglu', 1, [gate, up])[0]);
  }

  swigluBackward(dy: Raw, gate: Raw, up: Raw): { dGate: Raw; dUp: Raw } {
    const [dGate, dUp] = this.#run('DuoSwigluBackward', 2, [dy, gate, up]);
    return { dGate: made(dGate), dUp: made(dUp) };
  }

  mixGates(full: Raw, stream: Raw, gates: Raw): Raw {
    return made(this.#run('DuoMixGates', 1, [full, stream, gates])[0]);
  }

  mixGatesBackward(dMix: Raw, full: Raw, stream: Raw, gates: Raw): { dFull: Raw; dStream: Raw; dGates: Raw } {
    const [dFull, dStream, dGates] = this.#run('DuoMixGatesBackward', 3, [dMix, full, stream, gates]);
    return { dFull: made(dFull), dStream: made(dStream), dGates: made(dGates) };
  }

  /**
   * Runs an operation. Inputs are tensors, the id of a constant, or numbers that change per call, which go in as an int32
   * tensor that lives for the call only.
   */
  #run(name: string, outputs: number, inputs: readonly (Raw | Int32Array | number)[], attributes: readonly Attribute[] = []): Raw[] {
    const { binding } = this.#backend;
    const temporary: number[] = [];
    try {
      const ids = inputs.map((input) => {
        if (typeof input === 'number') return input;
        if (!(input instanceof Int32Array)) return this.#backend.getInputTensorIds([input])[0] ?? -1;
        const id = binding.createTensor([input.length], binding.TF_INT32, input);
        temporary.push(id);
        return id;
      });
      return binding.executeOp(name, attributes, ids, outputs).map((metadata) => this.#wrap(metadata));
    } catch (cause) {
      throw failure(name, cause);
    } finally {
      for (const id of temporary) binding.deleteTensor(id);
    }
  }

  /** The id of an int32 tensor with these values, which lives as long as the process. */
  #constant(...values: readonly number[]): number {
    const key = values.join();
    const known = this.#constants.get(key);
    if (known !== undefined) return known;
    const { binding } = this.#backend;
    const id = binding.createTensor([values.length], binding.TF_INT32, Int32Array.from(values));
    this.#constants.set(key, id);
    return id;
  }

  #wrap({ id, shape, dtype }: Metadata): Raw {
    const dataId = {};
    this.#backend.tensorMap.set(dataId, { shape, dtype, id, values: null, refCount: 1 });
    return this.#tf
      .engine()
      .makeTensorFromTensorInfo(
        { dataId, shape, dtype: dtype === this.#backend.binding.TF_INT32 ? 'int32' : 'float32' },
        this.#backend as never,
      );
  }
}

/**
 * Loads the addon at `file`, which registers its operations with TensorFlow, and sets its threads. The Node binding's backend
 * must be the active one in `tf`.
 * @throws EnvironmentError when it does not load or was compiled for another processor
 */
export function loadFused(tf: Tfjs, file: string, threads: number): FusedKernels {
  try {
    const addon = createRequire(import.meta.url)(file) as Addon;
    addon.setThreads(threads);
    return new FusedKernels(tf, addon);
  } catch (cause) {
    throw new EnvironmentError({
      code: 'fused_kernels_missing',
      what: `the fused operations do not load: ${(cause as Error).message.split('\n')[0]}`,
      given: file,
      hint: 'run: duo setup',
      cause,
    });
  }
}

/** sink, recent, block, reach; block 0 stands for no window, reach 0 for no limit. */
function windowOf(window: Window | undefined): readonly number[] {
  return window ? [window.sink, window.recent, window.block, window.reach ?? 0].map((tokens) => Math.min(tokens, MAX_INT32)) : NO_WINDOW;
}

/** The bits of a float32 as an int32, as operations take it. */
function bitsOf(value: number): number {
  return new DataView(Float32Array.of(value).buffer).getInt32(0, true);
}

function made(raw: Raw | undefined): Raw {
  if (!raw) throw new InternalError('an operation returned too few tensors');
  return raw;
}

function failure(name: string, cause: unknown): Error {
  const { message } = cause as Error;
  if (!message.includes(OUT_OF_MEMORY)) return new InternalError(`${name}: ${message}`, cause);
  return new MemoryError({ code: 'out_of_memory', what: `memory ran out in ${name}`, hint: 'use a shorter context', cause });
}
