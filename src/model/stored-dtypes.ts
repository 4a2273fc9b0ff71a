/** Number formats that weight files hold, and how those of weights become float32. */
import { endianness } from 'node:os';
import { EnvironmentError } from '../errors.js';
import { float16Values } from './float16.js';
import { BLOCK_FORMATS } from './gguf/blocks.js';

export interface StoredDtype {
  /** Values of a block and its bytes: 1 and the size of a number, but for quantized types. */
  readonly blockValues: number;
  readonly blockBytes: number;
  /** Writes whole blocks as float32; absent: not a type weights may have. Numbers of unquantized types start on a multiple of 4. */
  readonly widen?: (source: Uint8Array, target: Float32Array) => void;
}

const plain = (name: string, blockBytes: number, widen?: StoredDtype['widen']): [string, StoredDtype] => [
  name,
  { blockValues: 1, blockBytes, ...(widen === undefined ? {} : { widen }) },
];

/** Types a header may name, GGUF's blocks too; weights are of those that can be widened. */
export const STORED_DTYPES: ReadonlyMap<string, StoredDtype> = new Map<string, StoredDtype>([
  plain('F32', 4, copyFloat32),
  plain('F16', 2, widenFloat16),
  plain('BF16', 2, widenBfloat16),
  ...['F64', 'I64', 'U64', 'C64'].map((name) => plain(name, 8)),
  ...['I32', 'U32'].map((name) => plain(name, 4)),
  ...['I16', 'U16'].map((name) => plain(name, 2)),
  ...['I8', 'U8', 'BOOL', 'F8_E4M3', 'F8_E5M2', 'F8_E8M0', 'F8_E4M3FNUZ', 'F8_E5M2FNUZ'].map((name) => plain(name, 1)),
  ...BLOCK_FORMATS,
]);

/** The files are little-endian, and are read as they lie. @throws EnvironmentError on a big-endian machine. */
export function requireLittleEndian(): void {
  if (endianness() === 'LE') return;
  throw new EnvironmentError({
    code: 'big_endian',
    what: 'weight files cannot be read on a big-endian machine',
    expected: 'a little-endian machine',
  });
}

function copyFloat32(source: Uint8Array, target: Float32Array): void {
  new Uint8Array(target.buffer, target.byteOffset, target.byteLength).set(source);
}

/** bfloat16 is the upper half of a float32. */
function widenBfloat16(source: Uint8Array, target: Float32Array): void {
  const halves = new Uint16Array(source.buffer, source.byteOffset, target.length);
  const words = new Uint32Array(target.buffer, target.byteOffset, target.length);
  for (let i = 0; i < words.length; i++) words[i] = (halves[i] ?? 0) << 16;
}

function widenFloat16(source: Uint8Array, target: Float32Array): void {
  const values = float16Values();
  const halves = new Uint16Array(source.buffer, source.byteOffset, target.length);
  for (let i = 0; i < target.length; i++) target[i] = values[halves[i] ?? 0] ?? 0;
}
