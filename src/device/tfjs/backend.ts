/** What differs between TensorFlow and WebAssembly: products of matrices, uploads, and writes into a buffer. */
import type { Kernels, Raw } from './kernels.js';
import { checkFits, replaceRows } from './rows.js';

/** Which operands of a batched product are stored transposed. */
export interface Stored {
  readonly a?: 'transposed';
  readonly b?: 'transposed';
}

export interface Backend {
  readonly kernels: Kernels;
  /** Bytes of weights that may be kept a second time, transposed, because products with them are faster then. */
  readonly transposedWeightBytes: number;
  /** x (tokens, in) times the transpose of weight (out, in), without a copy of the weight. */
  project(x: Raw, weight: Raw): Raw;
  /** a (n, m, k) by b (n, k, p): (n, m, p), batch by batch. */
  batched(a: Raw, b: Raw, stored?: Stored): Raw;
  readonly uploads: 'copied' | 'kept';
  /** Whether a batch of products with `rows` result rows each is as fast as the products one by one. */
  fastBatches(rows: number): boolean;
  /** Takes an upload over at once: until then TensorFlow.js may hold on to the JavaScript array. */
  settle(x: Raw): void;
  /** `buffer` with `rows` from row `start` on; may use the buffer's own memory, so that is lost. */
  writeRows(buffer: Raw, rows: Raw, start: number): Raw;
}

export function backendOf(kernels: Kernels): Backend {
  return kernels.backend === 'wasm' ? new Wasm(kernels) : new Tensorflow(kernels);
}

class Tensorflow implements Backend {
  readonly uploads = 'kept';
  readonly transposedWeightBytes = 0;

  constructor(readonly kernels: Kernels) {}

  project(x: Raw, weight: Raw): Raw {
    return this.kernels.product(x, weight, false, true);
  }

  batched(a: Raw, b: Raw, stored: Stored = {}): Raw {
    return this.kernels.product(a, b, stored.a === 'transposed', stored.b === 'transposed');
  }

  fastBatches(): boolean {
    return true;
  }

  /** On the CPU, TensorFlow goes on with the array's own memory where it is aligned. A reshape copies nothing. */
  settle(x: Raw): void {
    this.kernels.reshape(x, x.shape).dispose();
  }

  writeRows(buffer: Raw, rows: Raw, start: number): Raw {
    return replaceRows(this.kernels, buffer, rows, start);
  }
}

/** What we use of @tensorflow/tfjs-backend-wasm beyond its kernels (dist/backend_wasm.js). */
interface WasmBackend {
  refCount(dataId: object): number;
  /** A view of the heap, valid until the heap grows. */
  typedArrayFromHeap(x: Raw): Float32Array | Int32Array;
}

/**
 * Only a plain product of two matrices is fast there (XNNPACK), and it first packs its right operand, which is kept for
 * as long as that tensor lives. Batches and transposed operands go through a scalar loop.
 */
class Wasm implements Backend {
  readonly uploads = 'copied';
  /** The heap ends at 4 GiB, and a transposed weight is there twice more: itself, and packed. */
  readonly transposedWeightBytes = 640 * 2 ** 20;
  /** With fewer rows than this, the scalar loop ends before the packing would. */
  static readonly #PACKED_ROWS = 32;

  constructor(readonly kernels: Kernels) {}

  /** (weight x^T)^T: what is packed is x. */
  project(x: Raw, weight: Raw): Raw {
    const { kernels } = this;
    return kernels.tidy(() => kernels.transpose(kernels.product(weight, kernels.transpose(x, [1, 0])), [1, 0]));
  }

  batched(a: Raw, b: Raw, stored: Stored = {}): Raw {
    const { kernels } = this;
    const [batches = 0, rows = 0, columns = 0] = a.shape;
    const resultRows = stored.a === 'transposed' ? columns : rows;
    if (this.fastBatches(resultRows)) return kernels.product(a, b, stored.a === 'transposed', stored.b === 'transposed');
    const products = Array.from({ length: batches }, (_, batch) => this.#one(a, b, batch, stored));
    const joined = kernels.concat(products, 0);
    for (const product of products) product.dispose();
    return joined;
  }

  fastBatches(rows: number): boolean {
    return rows < Wasm.#PACKED_ROWS;
  }

  /** The heap gets its copy when the tensor is made. */
  settle(): void {}

  writeRows(buffer: Raw, rows: Raw, start: number): Raw {
    const heap = this.kernels.engineBackend as WasmBackend;
    if (heap.refCount(buffer.dataId) > 1) return replaceRows(this.kernels, buffer, rows, start);
    checkFits(buffer, rows, start);
    const rowSize = buffer.size / (buffer.shape[0] ?? 1);
    heap.typedArrayFromHeap(buffer).set(heap.typedArrayFromHeap(rows), start * rowSize);
    return this.kernels.alias(buffer);
  }

  #one(a: Raw, b: Raw, batch: number, stored: Stored): Raw {
    const { kernels } = this;
    return kernels.tidy(() => {
      const product = kernels.product(this.#matrix(a, batch, stored.a), this.#matrix(b, batch, stored.b));
      return kernels.reshape(product, [1, ...product.shape]);
    });
  }

  #matrix(x: Raw, batch: number, stored: 'transposed' | undefined): Raw {
    const alone = x.shape[0] === 1 ? x : this.kernels.slice(x, 0, batch, 1);
    const part = this.kernels.reshape(alone, x.shape.slice(1));
    return stored === 'transposed' ? this.kernels.transpose(part, [1, 0]) : part;
  }
}
