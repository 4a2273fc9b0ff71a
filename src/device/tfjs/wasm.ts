/**
 * The device's own part on WebAssembly. Only a plain product of two matrices is fast there (XNNPACK), and it first packs
 * its right operand, which is kept for as long as that tensor lives. Batches and transposed operands go through a
 * scalar loop.
 */
import type { Backend, Stored } from './backend.js';
import type { Raw } from './kernels.js';
import { checkFits, replaceRows } from './rows.js';
import type { WasmKernels } from './wasm-kernels.js';

export class Wasm implements Backend {
  readonly uploads = 'copied';
  /** The heap ends at 4 GiB, and a transposed weight is there twice more: itself, and packed. */
  readonly transposedWeightBytes = 640 * 2 ** 20;
  /** With fewer rows than this, the scalar loop ends before the packing would. */
  static readonly #PACKED_ROWS = 32;

  constructor(readonly kernels: WasmKernels) {}

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

  /** In place, unless another tensor shares the buffer's memory. */
  writeRows(buffer: Raw, rows: Raw, start: number): Raw {
    const { kernels } = this;
    if (kernels.isShared(buffer)) return replaceRows(kernels, buffer, rows, start);
    checkFits(buffer, rows, start);
    kernels.overwrite(buffer, rows, start * (buffer.size / (buffer.shape[0] ?? 1)));
    return kernels.alias(buffer);
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
