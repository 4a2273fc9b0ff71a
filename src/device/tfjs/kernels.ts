/**
 * The TensorFlow.js kernels this device uses, called on the engine itself: the functions of the `tf` namespace add
 * argument conversion and gradient bookkeeping, which cost as much as a small kernel.
 */
import type { NamedTensorMap, Tensor as Raw } from '@tensorflow/tfjs-core';
import type * as TensorFlow from '@tensorflow/tfjs-core';

/** What is needed of a TensorFlow.js namespace, be it the union package, the core, or the Node binding's. */
export type Tfjs = Pick<typeof TensorFlow, 'engine' | 'getBackend'>;
export type { Raw };

type Attributes = Record<string, unknown>;
type Engine = ReturnType<Tfjs['engine']>;

export class Kernels {
  readonly backend: string;
  protected readonly engine: Engine;
  readonly #scalars = new Map<number, Raw>();

  /** Kernels of the backend that is active in `tf` now; another device may activate its own between calls. */
  constructor(tf: Tfjs) {
    this.engine = tf.engine();
    this.backend = tf.getBackend();
  }

  /** Runs a kernel by its TensorFlow.js name, also one that a native library registered. */
  run(name: string, inputs: Record<string, Raw> | readonly Raw[], attributes: Attributes = {}): Raw {
    this.activate();
    return this.engine.runKernel<Raw>(name, inputs as NamedTensorMap, attributes as never);
  }

  /** Frees what `body` made, but for the tensors in its result. */
  tidy<T extends Raw | Readonly<Record<keyof T, Raw>>>(body: () => T): T {
    return this.engine.tidy(body as () => never);
  }

  /** A tensor over `values`, which TensorFlow may go on using as its memory. */
  make(values: Float32Array | Int32Array, shape: readonly number[]): Raw {
    this.activate();
    return this.engine.makeTensor(values, [...shape], values instanceof Int32Array ? 'int32' : 'float32');
  }

  read(x: Raw): Float32Array | Int32Array {
    return this.engine.readSync(x.dataId) as Float32Array | Int32Array;
  }

  /** A scalar that lives as long as the device. */
  scalar(value: number): Raw {
    const known = this.#scalars.get(value);
    if (known) return known;
    const made = this.engine.keep(this.make(Float32Array.of(value), []));
    this.#scalars.set(value, made);
    return made;
  }

  add(a: Raw, b: Raw): Raw {
    return this.run('Add', { a, b });
  }

  sub(a: Raw, b: Raw): Raw {
    return this.run('Sub', { a, b });
  }

  mul(a: Raw, b: Raw): Raw {
    return this.run('Multiply', { a, b });
  }

  scale(x: Raw, factor: number): Raw {
    return this.mul(x, this.scalar(factor));
  }

  squaredDifference(a: Raw, b: Raw): Raw {
    return this.run('SquaredDifference', { a, b });
  }

  exp(x: Raw): Raw {
    return this.run('Exp', { x });
  }

  log(x: Raw): Raw {
    return this.run('Log', { x });
  }

  neg(x: Raw): Raw {
    return this.run('Neg', { x });
  }

  rsqrt(x: Raw): Raw {
    return this.run('Rsqrt', { x });
  }

  sigmoid(x: Raw): Raw {
    return this.run('Sigmoid', { x });
  }

  /** Softmax over the last dimension. */
  softmax(logits: Raw): Raw {
    return this.run('Softmax', { logits }, { dim: logits.rank - 1 });
  }

  /** Mean over the last dimension, kept with length 1. */
  meanLast(x: Raw): Raw {
    return this.run('Mean', { x }, { axis: [x.rank - 1], keepDims: true });
  }

  meanAll(x: Raw): Raw {
    return this.run('Mean', { x }, { axis: x.shape.map((_, i) => i), keepDims: false });
  }

  sum(x: Raw, axis: number, keepDims = false): Raw {
    return this.run('Sum', { x }, { axis: [axis], keepDims });
  }

  /** Maximum over the last dimension, kept with length 1. */
  maxLast(x: Raw): Raw {
    return this.run('Max', { x }, { reductionIndices: [x.rank - 1], keepDims: true });
  }

  /** Index of the maximum over the last dimension. */
  argMaxLast(x: Raw): Raw {
    return this.run('ArgMax', { x }, { axis: x.rank - 1 });
  }

  fill(shape: readonly number[], value: number): Raw {
    return this.run('Fill', {}, { shape: [...shape], value, dtype: 'float32' });
  }

  reshape(x: Raw, shape: readonly number[]): Raw {
    return this.run('Reshape', { x }, { shape: [...shape] });
  }

  transpose(x: Raw, perm: readonly number[]): Raw {
    return this.run('Transpose', { x }, { perm: [...perm] });
  }

  /** Elements start..start+count-1 of dimension `axis`. */
  slice(x: Raw, axis: number, start: number, count: number): Raw {
    const begin = x.shape.map((_, i) => (i === axis ? start : 0));
    const size = x.shape.map((length, i) => (i === axis ? count : length));
    return this.run('Slice', { x }, { begin, size });
  }

  concat(parts: readonly Raw[], axis: number): Raw {
    const [first] = parts;
    return parts.length === 1 && first ? this.alias(first) : this.run('Concat', parts, { axis });
  }

  /** A second tensor over the same memory, freed on its own. */
  alias(x: Raw): Raw {
    return this.run('Identity', { x });
  }

  gather(x: Raw, indices: Int32Array | readonly number[], axis: number): Raw {
    const at = this.make(indices instanceof Int32Array ? indices : Int32Array.from(indices), [indices.length]);
    const result = this.run('GatherV2', { x, indices: at }, { axis, batchDims: 0 });
    at.dispose();
    return result;
  }

  /** The two halves of the last dimension exchanged. */
  swapHalves(x: Raw): Raw {
    const half = (x.shape[x.rank - 1] ?? 0) / 2;
    return this.tidy(() => {
      const halves = this.reshape(x, [x.size / (2 * half), 2, half]);
      return this.reshape(this.run('Reverse', { x: halves }, { dims: [1] }), x.shape);
    });
  }

  /** x with `before` and `after` rows of zeros around it. */
  padRows(x: Raw, before: number, after: number): Raw {
    const paddings = x.shape.map((_, i) => (i === 0 ? [before, after] : [0, 0]));
    return this.run('PadV2', { x }, { paddings, constantValue: 0 });
  }

  /** Products of matrices, (m, k) by (k, n), or of batches of them; the flags say which side is stored transposed. */
  product(a: Raw, b: Raw, transposeA = false, transposeB = false): Raw {
    return this.run('BatchMatMul', { a, b }, { transposeA, transposeB });
  }

  /** Makes this device's backend the active one; it was initialised before, so this takes effect at once. */
  activate(): void {
    if (this.engine.backendName !== this.backend) void this.engine.setBackend(this.backend);
  }
}
