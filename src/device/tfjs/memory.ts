/**
 * Who owns which TensorFlow.js tensor: handles, what they occupy, and scopes that free what was made inside them.
 *
 * Several handles may share one storage (a reshape does); its bytes are counted once and freed with the last handle.
 */
import type { Tensor as Raw } from '@tensorflow/tfjs-core';
import { InternalError } from '../../errors.js';
import type { DeviceMemory, Dtype, Tensor } from '../device.js';

interface Storage {
  readonly bytes: number;
  handles: number;
}

/** What the rest of the program sees as a `Tensor` of this device. */
export class Handle implements Tensor {
  readonly shape: readonly number[];
  readonly dtype: Dtype;
  readonly bytes: number;
  /** Tensors computed from this one and kept as long as it lives, such as a weight's transpose. */
  readonly derived = new Map<string, Raw>();
  freed = false;

  constructor(
    readonly raw: Raw,
    readonly storage: Storage,
  ) {
    this.shape = raw.shape;
    this.dtype = raw.dtype === 'int32' ? 'i32' : 'f32';
    this.bytes = storage.bytes;
  }
}

/** The TensorFlow.js tensor behind `tensor`; an internal error when it was freed or belongs to another kind of device. */
export function rawOf(tensor: Tensor): Raw {
  return handleOf(tensor).raw;
}

export function handleOf(tensor: Tensor): Handle {
  if (!(tensor instanceof Handle)) throw new InternalError('a tensor of another device was given');
  if (tensor.freed) throw new InternalError(`a tensor of shape (${tensor.shape.join(', ')}) was used after it was freed`);
  return tensor;
}

/** Owns every handle of one device. */
export class Memory {
  #bytes = 0;
  #peakBytes = 0;
  #tensors = 0;
  #derivedBytes = 0;
  #scope: Handle[] | undefined;
  readonly #storages = new WeakMap<object, Storage>();

  /** A handle that owns `raw`. */
  own(raw: Raw): Handle {
    const shared = this.#storages.get(raw.dataId);
    if (shared && shared.handles > 0) return this.#handle(raw, shared);
    const storage = { bytes: byteSize(raw), handles: 0 };
    this.#storages.set(raw.dataId, storage);
    this.#grow(storage.bytes);
    return this.#handle(raw, storage);
  }

  /** A handle for `raw`, which shares the memory of `other` under an id of its own. */
  share(raw: Raw, other: Handle): Handle {
    return this.#handle(raw, other.storage);
  }

  /** The tensor derived from `handle` under `name`, made at the first use. */
  derive(handle: Handle, name: string, make: () => Raw): Raw {
    const known = handle.derived.get(name);
    if (known) return known;
    const made = make();
    handle.derived.set(name, made);
    this.#derivedBytes += byteSize(made);
    this.#grow(byteSize(made));
    return made;
  }

  /** Bytes of all derived tensors. */
  get derivedBytes(): number {
    return this.#derivedBytes;
  }

  /** Frees the tensor; freeing it again does nothing. */
  free(handle: Handle): void {
    if (handle.freed) return;
    handle.freed = true;
    this.#tensors -= 1;
    handle.raw.dispose();
    for (const raw of handle.derived.values()) this.#freeDerived(raw);
    handle.derived.clear();
    handle.storage.handles -= 1;
    if (handle.storage.handles === 0) this.#bytes -= handle.storage.bytes;
  }

  /** Runs `body`; of what it made, only the tensors found in its result live on, and belong to the enclosing scope. */
  scope<T>(body: () => T): T {
    const outer = this.#scope;
    const inner: Handle[] = [];
    this.#scope = inner;
    const kept = new Set<Handle>();
    try {
      const result = body();
      collect(result, kept);
      return result;
    } finally {
      this.#scope = outer;
      for (const handle of inner) {
        if (!kept.has(handle)) this.free(handle);
        else outer?.push(handle);
      }
    }
  }

  usage(): DeviceMemory {
    return { tensors: this.#tensors, bytes: this.#bytes, peakBytes: this.#peakBytes };
  }

  resetPeak(): void {
    this.#peakBytes = this.#bytes;
  }

  #handle(raw: Raw, storage: Storage): Handle {
    const handle = new Handle(raw, storage);
    storage.handles += 1;
    this.#tensors += 1;
    this.#scope?.push(handle);
    return handle;
  }

  #freeDerived(raw: Raw): void {
    raw.dispose();
    this.#derivedBytes -= byteSize(raw);
    this.#bytes -= byteSize(raw);
  }

  #grow(bytes: number): void {
    this.#bytes += bytes;
    if (this.#bytes > this.#peakBytes) this.#peakBytes = this.#bytes;
  }
}

function byteSize(raw: Raw): number {
  return raw.size * 4;
}

/** Every handle in a tensor, an array, a map's values, or a plain object, at any depth. */
function collect(value: unknown, found: Set<Handle>): void {
  if (value instanceof Handle) {
    found.add(value);
  } else if (Array.isArray(value)) {
    for (const item of value) collect(item, found);
  } else if (isPlainObject(value)) {
    for (const item of Object.values(value)) collect(item, found);
  }
}

function isPlainObject(value: unknown): value is Record<string, unknown> {
  if (typeof value !== 'object' || value === null || ArrayBuffer.isView(value)) return false;
  const prototype: unknown = Object.getPrototypeOf(value);
  return prototype === null || Object.getPrototypeOf(prototype) === null;
}
