/** What differs between TensorFlow and WebAssembly: products of matrices, and who holds an upload's memory. */
import type { Kernels, Raw } from './kernels.js';

export interface Backend {
  readonly kernels: Kernels;
  /** Whether products want a weight's transposed copy. */
  readonly transposesWeights: boolean;
  /** Takes an upload over, so that the JavaScript array may be collected where its memory is not shared. */
  settle(x: Raw): void;
  /** a (n, m, k) by b (n, k, p): (n, m, p), batch by batch; `a` or `b` may be stored transposed. */
  batched(a: Raw, b: Raw, stored?: { readonly a?: 'transposed'; readonly b?: 'transposed' }): Raw;
}

export function backendOf(kernels: Kernels): Backend {
  return kernels.backend === 'wasm' ? wasm(kernels) : tensorflow(kernels);
}

function tensorflow(kernels: Kernels): Backend {
  return {
    kernels,
    transposesWeights: false,
    // An upload waits in JavaScript until an operation reads it; a reshape is one that copies nothing.
    settle: (x) => kernels.reshape(x, x.shape).dispose(),
    batched: (a, b, stored = {}) => kernels.product(a, b, stored.a === 'transposed', stored.b === 'transposed'),
  };
}

/**
 * Only plain products of two matrices are fast there (XNNPACK); batches and transposed operands go through a scalar
 * loop, so batches are taken apart and operands transposed by hand.
 */
function wasm(kernels: Kernels): Backend {
  const matrix = (x: Raw, batch: number, transposed: boolean): Raw => {
    const [, rows = 0, columns = 0] = x.shape;
    const part = kernels.reshape(kernels.slice(x, 0, batch, 1), [rows, columns]);
    return transposed ? kernels.transpose(part, [1, 0]) : part;
  };
  const one = (a: Raw, b: Raw, batch: number, stored: { a?: 'transposed'; b?: 'transposed' }): Raw =>
    kernels.tidy(() => {
      const c = kernels.product(matrix(a, batch, stored.a !== undefined), matrix(b, batch, stored.b !== undefined));
      return kernels.reshape(c, [1, ...c.shape]);
    });
  return {
    kernels,
    transposesWeights: true,
    settle: () => undefined,
    batched: (a, b, stored = {}) =>
      kernels.concat(
        Array.from({ length: a.shape[0] ?? 0 }, (_, batch) => one(a, b, batch, stored)),
        0,
      ),
  };
}
