/** Mutations of binary files: of their fields, where these are known, and of their bytes. */
import type { Rng } from '../../src/data/rng.js';
import { INTEGERS, TEXTS } from './values.js';

const concat = (...parts: readonly Uint8Array[]): Uint8Array => new Uint8Array(Buffer.concat(parts));

/** `value` in `bytes` bytes, little-endian. */
export function integer(value: bigint | number, bytes: number): Uint8Array {
  const field = new Uint8Array(8);
  new DataView(field.buffer).setBigUint64(0, BigInt.asUintN(64, BigInt(value)), true);
  return field.slice(0, bytes);
}

export function joined(fields: readonly Uint8Array[]): Uint8Array {
  return concat(...fields);
}

/** `count` changes of a file given as its fields in order. */
export function mutateFields(rng: Rng, fields: readonly Uint8Array[], count: number): Uint8Array[] {
  const changed = [...fields];
  for (let i = 0; i < count && changed.length > 0; i++) {
    const at = rng.int(0, changed.length - 1);
    const field = changed[at] ?? new Uint8Array(0);
    rng.choice(FIELD_CHANGES)(rng, changed, at, field);
  }
  return changed;
}

type FieldChange = (rng: Rng, fields: Uint8Array[], at: number, field: Uint8Array) => void;

const FIELD_CHANGES: readonly FieldChange[] = [
  (rng, fields, at, field) => (fields[at] = integer(rng.choice(INTEGERS), field.length)),
  (rng, fields, at, field) => (fields[at] = integer(rng.choice(INTEGERS), field.length)),
  (rng, fields, at, field) => (fields[at] = integer(numberOf(field) + BigInt(rng.int(-2, 2)), field.length)),
  (_rng, fields, at) => fields.splice(at, 1),
  (_rng, fields, at, field) => fields.splice(at, 0, field),
  (rng, fields, at) => fields.splice(at, rng.int(1, 12)),
  (rng, fields, at) => fields.splice(at, 0, ...fields.slice(at, at + rng.int(1, 12))),
  (rng, fields, at, field) => {
    const other = rng.int(0, fields.length - 1);
    [fields[at], fields[other]] = [fields[other] ?? field, field];
  },
  (rng, fields, at) => (fields[at] = Buffer.from(rng.choice(TEXTS))),
  (rng, fields, at, field) => (fields[at] = mutateBytes(rng, field, 1)),
];

function numberOf(field: Uint8Array): bigint {
  return field.slice(0, 8).reduceRight((sum, byte) => (sum << 8n) | BigInt(byte), 0n);
}

/** `count` changes anywhere in a file. */
export function mutateBytes(rng: Rng, bytes: Uint8Array, count: number): Uint8Array {
  let changed = bytes;
  for (let i = 0; i < count; i++) changed = rng.choice(BYTE_CHANGES)(rng, changed);
  return changed;
}

type ByteChange = (rng: Rng, bytes: Uint8Array) => Uint8Array;

const BYTE_CHANGES: readonly ByteChange[] = [
  (rng, bytes) => overwritten(rng, bytes, (old) => old ^ (1 << rng.int(0, 7))),
  (rng, bytes) => overwritten(rng, bytes, () => rng.choice([0, 1, 0x7f, 0x80, 0xff, 0x22, 0x7b, rng.int(0, 255)])),
  (rng, bytes) => bytes.slice(0, rng.int(0, bytes.length)),
  (rng, bytes) => concat(bytes, new Uint8Array(rng.int(1, 100))),
  (rng, bytes) => {
    const [from, to] = range(rng, bytes);
    return concat(bytes.subarray(0, from), bytes.subarray(to));
  },
  (rng, bytes) => {
    const [from, to] = range(rng, bytes);
    return concat(bytes.subarray(0, to), bytes.subarray(from));
  },
  (rng, bytes) => {
    const width = rng.choice([1, 2, 4, 8]);
    const copy = new Uint8Array(bytes);
    copy.set(integer(rng.choice(INTEGERS), width).subarray(0, bytes.length), Math.max(0, rng.int(0, bytes.length) - width));
    return copy;
  },
];

function overwritten(rng: Rng, bytes: Uint8Array, change: (old: number) => number): Uint8Array {
  if (bytes.length === 0) return bytes;
  // slice of a Buffer would be a view.
  const copy = new Uint8Array(bytes);
  // Headers decide more than data does.
  const at = rng.int(0, (rng.float() < 0.5 ? Math.min(bytes.length, 64) : bytes.length) - 1);
  copy[at] = change(copy[at] ?? 0);
  return copy;
}

function range(rng: Rng, bytes: Uint8Array): [number, number] {
  const from = rng.int(0, bytes.length);
  return [from, rng.int(from, Math.min(bytes.length, from + 64))];
}
