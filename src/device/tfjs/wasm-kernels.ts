/**
 * Slices, gathers and concatenations as block copies within the WebAssembly heap. The stock kernels read the whole
 * tensor out of the heap for a slice, and gather element by element. Bounds are checked here: nothing else would.
 */
import type { Tensor as Raw, TensorInfo } from '@tensorflow/tfjs-core';
import { InternalError } from '../../errors.js';
import { Kernels } from './kernels.js';

/** What we use of @tensorflow/tfjs-backend-wasm beyond its kernels (dist/backend_wasm.js). */
interface WasmBackend {
  refCount(dataId: object): number;
  makeOutput(shape: readonly number[], dtype: string): TensorInfo;
  /** A view of the heap, valid until the heap grows. */
  typedArrayFromHeap(x: TensorInfo): Float32Array | Int32Array;
}

export class WasmKernels extends Kernels {
  override slice(x: Raw, axis: number, start: number, count: number): Raw {
    const [outer, length, inner] = around(x, axis);
    if (start < 0 || start + count > length) throw new InternalError(`a slice ends at ${start + count} of ${length}`);
    const out = this.#make(x, axis, count);
    const copy = this.#copier(x, out);
    for (let o = 0; o < outer; o++) copy((o * length + start) * inner, o * count * inner, count * inner);
    return out;
  }

  override gather(x: Raw, indices: Int32Array | readonly number[], axis: number): Raw {
    const [outer, length, inner] = around(x, axis);
    for (const index of indices) if (!(index >= 0 && index < length)) throw new InternalError(`index ${index} is outside 0..${length - 1}`);
    const out = this.#make(x, axis, indices.length);
    const copy = this.#copier(x, out);
    for (let o = 0; o < outer; o++) {
      indices.forEach((index, i) => copy((o * length + index) * inner, (o * indices.length + i) * inner, inner));
    }
    return out;
  }

  override concat(parts: readonly Raw[], axis: number): Raw {
    const [first] = parts;
    if (parts.length === 1 || !first) return super.concat(parts, axis);
    const total = parts.reduce((sum, part) => sum + (part.shape[axis] ?? 0), 0);
    const out = this.#make(first, axis, total);
    let before = 0;
    for (const part of parts) {
      const [outer, length, inner] = around(part, axis);
      const copy = this.#copier(part, out);
      for (let o = 0; o < outer; o++) copy(o * length * inner, (o * total + before) * inner, length * inner);
      before += length;
    }
    return out;
  }

  override swapHalves(x: Raw): Raw {
    const axis = x.rank - 1;
    const half = (x.shape[axis] ?? 0) / 2;
    return this.tidy(() => this.concat([this.slice(x, axis, half, half), this.slice(x, axis, 0, half)], axis));
  }

  /** Whether another tensor has the same memory. */
  isShared(x: Raw): boolean {
    return this.#heap.refCount(x.dataId) > 1;
  }

  /** Writes all of `values` into the memory of `x`, from element `start` on. */
  overwrite(x: Raw, values: Raw, start: number): void {
    this.#copier(values, x)(0, start, values.size);
  }

  get #heap(): WasmBackend {
    this.activate();
    return this.engine.backend as unknown as WasmBackend;
  }

  /** A tensor like `x`, but of another length along `axis`, its memory as it was. */
  #make(x: Raw, axis: number, length: number): Raw {
    const shape = x.shape.map((old, i) => (i === axis ? length : old));
    return this.engine.makeTensorFromTensorInfo(this.#heap.makeOutput(shape, x.dtype));
  }

  /** Copies elements from one tensor's memory to another's: where from, where to, and how many. */
  #copier(from: Raw, to: Raw): (source: number, target: number, count: number) => void {
    const [sources, targets] = [this.#heap.typedArrayFromHeap(from), this.#heap.typedArrayFromHeap(to)];
    const memory = new Int32Array(sources.buffer);
    const [fromElement, toElement] = [sources.byteOffset / 4, targets.byteOffset / 4];
    return (source, target, count) => {
      memory.copyWithin(toElement + target, fromElement + source, fromElement + source + count);
    };
  }
}

/** Elements before, along and behind `axis`: the tensor as (outer, length, inner). */
function around(x: Raw, axis: number): readonly [number, number, number] {
  const product = (lengths: readonly number[]): number => lengths.reduce((size, length) => size * length, 1);
  return [product(x.shape.slice(0, axis)), x.shape[axis] ?? 0, product(x.shape.slice(axis + 1))];
}
