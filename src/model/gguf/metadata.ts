/** The metadata of a GGUF file: keys with typed values (github.com/ggml-org/ggml, docs/gguf.md). */
import { InputError } from '../../errors.js';
import type { ByteCursor } from './byte-cursor.js';
import { showName } from '../show-name.js';

/** 64-bit integers are numbers where that is exact. */
export type GgufScalar = number | bigint | boolean | string;
export type GgufValue = GgufScalar | readonly GgufScalar[];
export type GgufMetadata = ReadonlyMap<string, GgufValue>;

/** Models have some thirty keys; a key takes at least its length, its type and one byte. */
const MAX_KEYS = 1 << 16;
const MIN_KEY_BYTES = 13;
/** Longest key, as the format has it, and longest text: chat templates take some 20 KB. */
export const MAX_NAME_BYTES = 65_535;
const MAX_TEXT_BYTES = 8 << 20;
/** Elements of all arrays together: a vocabulary of 256,000 tokens has about 1.3 million with its scores, types and merges. */
const MAX_ELEMENTS = 1 << 23;

interface ValueType {
  readonly name: string;
  /** What it takes at least. */
  readonly bytes: number;
  readonly read: (cursor: ByteCursor) => GgufScalar;
}

const ARRAY = 9;

/** By the number that files have for it; 9 is an array of any other. */
const VALUE_TYPES: ReadonlyMap<number, ValueType> = new Map([
  [0, { name: 'uint8', bytes: 1, read: (cursor) => cursor.uint8() }],
  [1, { name: 'int8', bytes: 1, read: (cursor) => cursor.int8() }],
  [2, { name: 'uint16', bytes: 2, read: (cursor) => cursor.uint16() }],
  [3, { name: 'int16', bytes: 2, read: (cursor) => cursor.int16() }],
  [4, { name: 'uint32', bytes: 4, read: (cursor) => cursor.uint32() }],
  [5, { name: 'int32', bytes: 4, read: (cursor) => cursor.int32() }],
  [6, { name: 'float32', bytes: 4, read: (cursor) => cursor.float32() }],
  [7, { name: 'bool', bytes: 1, read: readBoolean }],
  [8, { name: 'string', bytes: 8, read: (cursor) => cursor.text(MAX_TEXT_BYTES) }],
  [10, { name: 'uint64', bytes: 8, read: (cursor) => cursor.uint64() }],
  [11, { name: 'int64', bytes: 8, read: (cursor) => cursor.int64() }],
  [12, { name: 'float64', bytes: 8, read: (cursor) => cursor.float64() }],
] satisfies [number, ValueType][]);

/** Reads `count` keys and their values. @throws InputError naming the key at fault. */
export function readMetadata(cursor: ByteCursor, count: number | bigint): GgufMetadata {
  checkCount('metadata', count, MAX_KEYS, MIN_KEY_BYTES, cursor);
  const metadata = new Map<string, GgufValue>();
  let elements = 0;
  for (let number = 1; number <= Number(count); number++) {
    cursor.where = `the metadata (name of key ${number} of ${count})`;
    const key = cursor.text(MAX_NAME_BYTES);
    cursor.where = `the metadata (key ${number} of ${count}, ${showName(key)})`;
    if (metadata.has(key)) throw wrongKey(key, 'appears twice', 'each key once', cursor);
    const value = readValue(cursor, key, MAX_ELEMENTS - elements);
    if (Array.isArray(value)) elements += value.length;
    metadata.set(key, value);
  }
  return metadata;
}

/** @throws InputError when a file of this size cannot hold `count` things of at least `bytes` bytes, or they are more than `most`. */
export function checkCount(what: string, count: number | bigint, most: number, bytes: number, cursor: ByteCursor): void {
  const room = Math.floor(cursor.left / bytes);
  if (count <= Math.min(room, most)) return;
  throw new InputError({
    code: 'gguf_count',
    what: `${what} count ${count} is impossible${count > room ? ` for a file of ${cursor.size} bytes` : ''}`,
    given: cursor.path,
    expected: `at most ${Math.min(room, most)}`,
  });
}

function readValue(cursor: ByteCursor, key: string, elementsLeft: number): GgufValue {
  const type = cursor.uint32();
  return type === ARRAY ? readArray(cursor, key, elementsLeft) : valueType(type, key, cursor).read(cursor);
}

function readArray(cursor: ByteCursor, key: string, elementsLeft: number): readonly GgufScalar[] {
  const type = cursor.uint32();
  if (type === ARRAY) throw wrongKey(key, 'holds arrays of arrays, which are not supported', 'an array of single values', cursor);
  const { read, bytes } = valueType(type, key, cursor);
  const length = cursor.uint64();
  if (length > Math.floor(cursor.left / bytes))
    throw cursor.ends(`an array of ${length} elements starts where ${cursor.left} bytes are left`);
  if (length > elementsLeft) throw wrongKey(key, `has ${length} elements`, `at most ${elementsLeft} more in all arrays`, cursor);
  const values: GgufScalar[] = [];
  for (let i = 0; i < Number(length); i++) values.push(read(cursor));
  return values;
}

function valueType(type: number, key: string, cursor: ByteCursor): ValueType {
  const found = VALUE_TYPES.get(type);
  if (found === undefined)
    throw wrongKey(key, `has unknown value type ${type}`, `a type from 0 to ${Math.max(...VALUE_TYPES.keys())}`, cursor);
  return found;
}

function readBoolean(cursor: ByteCursor): boolean {
  const byte = cursor.uint8();
  if (byte > 1)
    throw new InputError({ code: 'gguf_metadata', what: `a bool in ${cursor.where} is ${byte}`, given: cursor.path, expected: '0 or 1' });
  return byte === 1;
}

function wrongKey(key: string, problem: string, expected: string, cursor: ByteCursor): InputError {
  return new InputError({ code: 'gguf_metadata', what: `key ${showName(key)} ${problem}`, given: cursor.path, expected });
}
