/** Models from disk: what one is (`readModelInfo`, headers only) and the model itself on a device (`loadModel`). */
import type { Device, Tensor } from '../device/device.js';
import { InternalError, MemoryError } from '../errors.js';
import type { Warn } from '../errors.js';
import { openCheckpoint } from './checkpoint.js';
import type { Checkpoint } from './checkpoint.js';
import type { ModelConfig } from './config.js';
import type { LayerSlot } from './families.js';
import type { LayerWeights, Model, Tokenizer, Weights } from './model.js';
import { weightKey } from './plan.js';
import type { PlannedWeight } from './plan.js';
import { unpairRows } from './rows.js';
import { storedBytes, streamCheckpoint } from './stream-checkpoint.js';
import type { LoadOptions } from './stream-checkpoint.js';
import { elementsOf, readTensor } from './weight-file.js';

export type { LoadOptions } from './stream-checkpoint.js';

export { defaultModelPath } from './checkpoint.js';

/** Weights are held in float32. */
const HELD_BYTES = 4;

/** Weights whose rows rope pairs. */
const ROTATED: ReadonlySet<string> = new Set(['q', 'k', 'qBias', 'kBias']);

const ALIGNMENT = 64;
const SLAB_START = 48;
const SLAB_BYTES = 33 << 20;

export interface ModelInfo {
  readonly id: string;
  /** The folder, or the GGUF file. */
  readonly path: string;
  readonly config: ModelConfig;
  readonly endTokens: readonly number[];
  readonly parameters: number;
  /** Bytes of the weight files. */
  readonly storedBytes: number;
  /** Bytes of the weights on the device. */
  readonly weightBytes: number;
  /** Bytes of the largest tensor on the device: while loading, this much more is needed for a moment. */
  readonly largestTensorBytes: number;
  /** The tensors needed, in the order of the files. */
  readonly tensors: readonly { readonly name: string; readonly dtype: string; readonly shape: readonly number[] }[];
  readonly hasTokenizer: boolean;
  /** As of `Checkpoint`. */
  readonly readTokenizer: () => Tokenizer;
}

/** What a model is, from config and headers alone: milliseconds, and no device. @throws InputError as `openCheckpoint`. */
export function readModelInfo(path: string, warn: Warn = () => undefined): ModelInfo {
  return describeCheckpoint(openCheckpoint(path, warn));
}

/** As `readModelInfo`, of a checkpoint that is open. */
export function describeCheckpoint(checkpoint: Checkpoint): ModelInfo {
  const elements = checkpoint.tensors.map(elementsOf);
  const parameters = elements.reduce((sum, count) => sum + count, 0);
  return {
    id: checkpoint.id,
    path: checkpoint.path,
    config: checkpoint.config,
    endTokens: checkpoint.endTokens,
    parameters,
    storedBytes: storedBytes(checkpoint),
    weightBytes: parameters * HELD_BYTES,
    largestTensorBytes: Math.max(...elements) * HELD_BYTES,
    tensors: checkpoint.tensors.map(({ name, dtype, shape }) => ({ name, dtype, shape })),
    hasTokenizer: checkpoint.hasTokenizer,
    readTokenizer: checkpoint.readTokenizer,
  };
}

/**
 * Loads a model onto `device`, whose `scope` must not be open around it (loading yields to the event loop). Weights are
 * widened to float32 tensor by tensor while the files are read, once, and hashed. A `tokenizer` that was read before is not read again.
 * @throws InputError as `openCheckpoint` and `readTokenizer`; InterruptedError when `signal` is aborted; MemoryError. Nothing stays on the device then.
 */
export async function loadModel(
  path: string,
  device: Device,
  options: LoadOptions & { readonly tokenizer?: Tokenizer } = {},
): Promise<Model> {
  const checkpoint = openCheckpoint(path, options.warn ?? (() => undefined));
  const tokenizer = options.tokenizer ?? checkpoint.readTokenizer();
  const tensors = new Map<string, Tensor>();
  try {
    const hash = await streamCheckpoint(checkpoint, 'loading weights', options, {
      allocate: allocatorFor(device, checkpoint),
      onTensor: (tensor, values) => uploadWeights(checkpoint, tensor.weights, values, device, tensors),
    });
    return {
      id: checkpoint.id,
      hash,
      config: checkpoint.config,
      tokenizer,
      endTokens: checkpoint.endTokens,
      device,
      weights: arrange(checkpoint, tensors),
      weightBytes: [...tensors.values()].reduce((sum, tensor) => sum + tensor.bytes, 0),
    };
  } catch (error) {
    device.free(...tensors.values());
    throw error;
  }
}

/** Reads tensors that a model needs by their stored names, as float32 in the files' own order of rows. @throws InputError as `openCheckpoint` */
export function storedReader(path: string): (name: string) => Float32Array | undefined {
  const { tensors } = openCheckpoint(path, () => undefined);
  return (name) => {
    const tensor = tensors.find((other) => other.name === name);
    const values = tensor === undefined ? undefined : readTensor(tensor.file, tensor);
    return values instanceof Float32Array ? values : undefined;
  };
}

/** Frees a model's weights. */
export function freeModel({ device, weights }: Model): void {
  const { embedding, layers, finalNorm, head } = weights;
  device.free(embedding, finalNorm, ...layers.flatMap((layer) => Object.values(layer) as Tensor[]));
  if (head !== embedding) device.free(head);
}

/** Uploads the weights that lie in a tensor's rows, one below the other, into `tensors` by weightKey. */
function uploadWeights(
  { config, pairedRows }: Checkpoint,
  weights: readonly PlannedWeight[],
  values: Float32Array,
  device: Device,
  tensors: Map<string, Tensor>,
): void {
  let start = 0;
  for (const { slot, layer, shape } of weights) {
    const part = values.subarray(start, start + elementsOf({ shape }));
    if (pairedRows && ROTATED.has(slot)) unpairRows(part, config.headDim, part.length / (shape[0] ?? 1));
    tensors.set(weightKey(slot, layer), device.upload(part, shape));
    start += part.length;
  }
}

/** One array for all tensors where uploads are copied; else one each, placed so that TensorFlow takes it over as it is. */
function allocatorFor(device: Device, checkpoint: Checkpoint): (length: number) => Float32Array {
  if (device.uploads === 'kept') return slabAllocator();
  const largest = Math.max(...checkpoint.tensors.map(elementsOf));
  let shared: Float32Array | undefined;
  return (length) => (shared ??= allocated(() => new Float32Array(largest))).subarray(0, length);
}

/**
 * Arrays that start on a multiple of 64 bytes: TensorFlow copies others. JavaScript sees no addresses, but an allocation
 * above 32 MiB has pages of its own and starts 16 bytes into the first; where an allocator does otherwise, the copy is
 * the only cost. Pages that no tensor reaches take no memory.
 */
function slabAllocator(): (length: number) => Float32Array {
  let slab = new ArrayBuffer(0);
  let used = 0;
  return (length) => {
    const bytes = length * HELD_BYTES;
    if (used + bytes > slab.byteLength) {
      slab = allocated(() => new ArrayBuffer(SLAB_START + Math.max(SLAB_BYTES, bytes)));
      used = SLAB_START;
    }
    const values = new Float32Array(slab, used, length);
    used += Math.ceil(bytes / ALIGNMENT) * ALIGNMENT;
    return values;
  };
}

/** A file may be as large as it says and hold nothing: its weights still need their memory. @throws MemoryError */
function allocated<T>(allocate: () => T): T {
  try {
    return allocate();
  } catch (cause) {
    if (!(cause instanceof RangeError)) throw cause;
    throw new MemoryError({ code: 'weights_memory', what: 'there is no memory for the weights', hint: 'take a smaller model', cause });
  }
}

function arrange({ config, tensors: stored }: Checkpoint, tensors: ReadonlyMap<string, Tensor>): Weights {
  const fetch = (key: string): Tensor => {
    const tensor = tensors.get(key);
    if (tensor === undefined) throw new InternalError(`weight ${key} was not read`);
    return tensor;
  };
  const slots = stored.flatMap((tensor) => tensor.weights).filter((weight) => weight.layer === 0);
  const layer = (number: number): LayerWeights =>
    Object.fromEntries(slots.map(({ slot }) => [slot, fetch(weightKey(slot, number))])) as Record<LayerSlot, Tensor>;
  const embedding = fetch('embedding');
  return {
    embedding,
    layers: Array.from({ length: config.layers }, (_, number) => layer(number)),
    finalNorm: fetch('finalNorm'),
    head: config.tied ? embedding : fetch('head'),
  };
}
