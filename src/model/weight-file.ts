/**
 * A file of tensors, whatever its format: where each lies, and reading it once from front to back, in pieces, each wanted
 * tensor widened to float32 as it comes. Safetensors and GGUF files are two producers of it.
 */
import { closeSync } from 'node:fs';
import { InputError } from '../errors.js';
import { breathe } from '../progress.js';
import { openRegular, readFully } from '../untrusted.js';
import { requireFinite } from './finite.js';
import { STORED_DTYPES } from './stored-dtypes.js';
import type { StoredDtype } from './stored-dtypes.js';
import { showName } from './show-name.js';

/** Bytes read at a time: far smaller than the weights, large enough that a read costs nothing beside its copy. */
const PIECE_BYTES = 1 << 20;

export interface StoredTensor {
  readonly name: string;
  /** A row of STORED_DTYPES: `F32`, `BF16`, `Q4_K`, ... */
  readonly dtype: string;
  /** Row-major: a matrix is (out, in). */
  readonly shape: readonly number[];
  /** First byte in the file, and how many. */
  readonly start: number;
  readonly bytes: number;
}

export interface WeightFile {
  readonly path: string;
  readonly bytes: number;
  /** By name, in the order of their data. */
  readonly tensors: ReadonlyMap<string, StoredTensor>;
}

/** What `streamWeights` calls as it goes. */
export interface StreamReader {
  /** True for a tensor whose values are wanted. */
  readonly wants: (name: string) => boolean;
  /** Memory for a wanted tensor; absent: the values are only checked, piece by piece. */
  readonly allocate?: ((length: number) => Float32Array) | undefined;
  /** Every byte of the file, in order; the array is reused afterwards. */
  readonly onBytes: (piece: Uint8Array) => void;
  /** A wanted tensor, complete, widened to float32, in what `allocate` gave. */
  readonly onTensor: (tensor: StoredTensor, values: Float32Array) => void;
  /** Called between pieces; throws to stop. */
  readonly check: () => void;
}

/**
 * Reads a whole file once, front to back, holding one piece and one tensor at a time.
 * @throws InputError when a wanted tensor is of no type that weights may have or holds NaN or infinity, or the file became shorter meanwhile.
 */
export async function streamWeights(file: WeightFile, reader: StreamReader): Promise<void> {
  const { descriptor } = openRegular(file.path);
  try {
    const read = pieceReader(file, descriptor, reader);
    let position = 0;
    for (const tensor of file.tensors.values()) {
      await read(position, tensor.start);
      position = tensor.start + tensor.bytes;
      if (reader.wants(tensor.name)) await streamTensor(file, tensor, reader, read);
      else await read(tensor.start, position);
    }
    await read(position, file.bytes);
  } finally {
    closeSync(descriptor);
  }
}

/** Reads bytes start..end-1 in pieces of whole blocks; `use` gets each and how many bytes came before. */
type ReadPieces = (start: number, end: number, blockBytes?: number, use?: (part: Uint8Array, done: number) => void) => Promise<void>;

function pieceReader(file: WeightFile, descriptor: number, { onBytes, check }: StreamReader): ReadPieces {
  const piece = new Uint8Array(Math.min(PIECE_BYTES, file.bytes));
  return async (start, end, blockBytes = 1, use) => {
    const most = PIECE_BYTES - (PIECE_BYTES % blockBytes);
    for (let done = 0; start + done < end; done += most) {
      const part = piece.subarray(0, Math.min(most, end - start - done));
      readFully(descriptor, part, start + done, file.path);
      onBytes(part);
      use?.(part, done);
      await breathe();
      check();
    }
  };
}

async function streamTensor(file: WeightFile, tensor: StoredTensor, reader: StreamReader, read: ReadPieces): Promise<void> {
  const dtype = dtypeOf(tensor);
  const values = reader.allocate?.(elementsOf(tensor));
  let scratch = new Float32Array(0);
  const place = (from: number, count: number): Float32Array => {
    if (values !== undefined) return values.subarray(from, from + count);
    if (scratch.length < count) scratch = new Float32Array(count);
    return scratch.subarray(0, count);
  };
  await read(tensor.start, tensor.start + tensor.bytes, dtype.blockBytes, (part, done) => {
    const from = valuesIn(dtype, done);
    const widened = place(from, valuesIn(dtype, part.length));
    widen(tensor, part, widened, file.path);
    requireFinite(widened, from, tensor, file.path);
  });
  if (values !== undefined) reader.onTensor(tensor, values);
}

/** One whole tensor: float types as float32, I32 as it is. For small ones: reference dumps, tables. @throws InputError */
export function readTensor(file: WeightFile, tensor: StoredTensor): Float32Array | Int32Array {
  const bytes = new Uint8Array(tensor.bytes);
  const { descriptor } = openRegular(file.path);
  try {
    readFully(descriptor, bytes, tensor.start, file.path);
  } finally {
    closeSync(descriptor);
  }
  if (tensor.dtype === 'I32') return new Int32Array(bytes.buffer);
  const values = new Float32Array(elementsOf(tensor));
  widen(tensor, bytes, values, file.path);
  return values;
}

/** True for a type that becomes float32 weights. */
export function isWeightDtype(dtype: string): boolean {
  return STORED_DTYPES.get(dtype)?.widen !== undefined;
}

/** The types that weights may have, for messages. */
export function weightDtypes(): string {
  return [...STORED_DTYPES.keys()].filter(isWeightDtype).join(', ');
}

export function elementsOf(tensor: Pick<StoredTensor, 'shape'>): number {
  return tensor.shape.reduce((product, size) => product * size, 1);
}

function dtypeOf(tensor: StoredTensor): StoredDtype {
  return STORED_DTYPES.get(tensor.dtype) ?? { blockValues: 1, blockBytes: 1 };
}

function valuesIn(dtype: StoredDtype, bytes: number): number {
  return (bytes / dtype.blockBytes) * dtype.blockValues;
}

function widen(tensor: StoredTensor, source: Uint8Array, target: Float32Array, path: string): void {
  const dtype = dtypeOf(tensor);
  if (dtype.widen === undefined)
    throw new InputError({
      code: 'tensor_dtype',
      what: `tensor ${showName(tensor.name)}: dtype ${tensor.dtype} is not supported`,
      given: path,
      expected: weightDtypes(),
    });
  dtype.widen(source, target);
}
