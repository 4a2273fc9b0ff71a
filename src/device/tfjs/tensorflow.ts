/** The device's own part on TensorFlow: its kernels take batches and transposed operands as they are. */
import type { Backend, Stored } from './backend.js';
import type { Kernels, Raw } from './kernels.js';
import { replaceRows } from './rows.js';

export class Tensorflow implements Backend {
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
