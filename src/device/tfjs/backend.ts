/** What differs between TensorFlow and WebAssembly: products of matrices, uploads, and writes into a buffer. */
import type { Kernels, Raw } from './kernels.js';

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
  /** As `Device.uploads`. */
  readonly uploads: 'copied' | 'kept';
  /** Whether a batch of products with `rows` result rows each is as fast as the products one by one. */
  fastBatches(rows: number): boolean;
  /** Takes an upload over at once: until then TensorFlow.js may hold on to the JavaScript array. */
  settle(x: Raw): void;
  /** `buffer` with `rows` from row `start` on; may use the buffer's own memory, so that is lost. */
  writeRows(buffer: Raw, rows: Raw, start: number): Raw;
}
