/**
 * The safetensors format: 8 bytes with the header's length, a JSON header with name, dtype, shape and offsets of each
 * tensor, then the data. A file may come from anywhere, so nothing is allocated before its header has been checked
 * against the file's size.
 */
import { closeSync } from 'node:fs';
import { basename } from 'node:path';
import { InputError } from '../errors.js';
import { openRegular, readFully } from '../untrusted.js';
import { parseJsonObject } from './files.js';
import { requireLittleEndian, STORED_DTYPES } from './stored-dtypes.js';
import type { StoredTensor, WeightFile } from './weight-file.js';
import { showName } from './show-name.js';

/** A tensor takes about 150 bytes of header: room for 100,000 of them, where large checkpoints have a thousand per file. */
const MAX_HEADER_BYTES = 16 << 20;
/** Weights have one or two dimensions; other tensors of a file a few more. */
const MAX_DIMENSIONS = 8;
const LENGTH_BYTES = 8;

export interface SafetensorsFile extends WeightFile {
  readonly metadata: Readonly<Record<string, string>>;
}

/** Reads and checks the header: types, shapes, sizes, and that the tensors cover the data without holes or overlaps. @throws InputError */
export function readSafetensors(path: string): SafetensorsFile {
  requireLittleEndian();
  const { descriptor, bytes: size } = openRegular(path);
  try {
    const headerBytes = readHeaderBytes(descriptor, size, path);
    const header = parseJsonObject(headerBytes.subarray(LENGTH_BYTES), `the header of ${basename(path)}`, path);
    const dataBytes = size - headerBytes.length;
    const { __metadata__: metadata, ...entries } = header;
    const tensors = Object.entries(entries)
      .map(([name, entry]) => readEntry(name, entry, headerBytes.length, path))
      .sort((a, b) => a.start - b.start || a.bytes - b.bytes);
    checkCoverage(tensors, headerBytes.length, dataBytes, path);
    const byName = new Map(tensors.map((tensor) => [tensor.name, tensor]));
    return { path, bytes: size, tensors: byName, metadata: readMetadata(metadata) };
  } finally {
    closeSync(descriptor);
  }
}

function readHeaderBytes(descriptor: number, size: number, path: string): Uint8Array {
  const fail = (what: string, expected: string): InputError =>
    new InputError({ code: 'safetensors_header', what: `${basename(path)}: ${what}`, given: path, expected });
  if (size < LENGTH_BYTES) throw fail(`${size === 0 ? 'the file is empty' : `only ${size} bytes`}`, 'a safetensors file, at least 8 bytes');
  const length = new Uint8Array(LENGTH_BYTES);
  readFully(descriptor, length, 0, path);
  const headerLength = new DataView(length.buffer).getBigUint64(0, true);
  if (headerLength === 0n) throw fail('the header is empty', 'a JSON object');
  if (headerLength > BigInt(size - LENGTH_BYTES))
    throw fail(
      `its header length ${headerLength} exceeds the file (${size} bytes): it is cut short, or not a safetensors file`,
      'a whole safetensors file',
    );
  if (headerLength > BigInt(MAX_HEADER_BYTES))
    throw fail(`its header length ${headerLength} is too large`, `at most ${MAX_HEADER_BYTES} bytes`);
  const bytes = new Uint8Array(LENGTH_BYTES + Number(headerLength));
  readFully(descriptor, bytes, 0, path);
  return bytes;
}

function readEntry(name: string, entry: unknown, dataStart: number, path: string): StoredTensor {
  const fail = (problem: string): InputError =>
    new InputError({ code: 'safetensors_tensor', what: `tensor ${showName(name)}: ${problem}`, given: path });
  if (typeof entry !== 'object' || entry === null) throw fail('its header entry must be an object');
  const { dtype, shape, data_offsets: offsets } = entry as Readonly<Record<string, unknown>>;
  for (const [key, value] of Object.entries({ dtype, shape, data_offsets: offsets }))
    if (value === undefined) throw fail(`no ${key} field`);
  const stored = typeof dtype === 'string' ? STORED_DTYPES.get(dtype) : undefined;
  // Quantized blocks are other formats'.
  if (typeof dtype !== 'string' || stored?.blockValues !== 1) throw fail(`unknown dtype ${show(dtype)}`);
  if (!isSizes(shape)) throw fail(`shape ${show(shape)} must hold non-negative integers`);
  if (shape.length > MAX_DIMENSIONS) throw fail(`${shape.length} dimensions, expected at most ${MAX_DIMENSIONS}`);
  if (!isSizes(offsets) || offsets.length !== 2) throw fail(`data_offsets ${show(offsets)} must be two non-negative integers`);
  const [begin = 0, end = 0] = offsets;
  if (begin > end) throw fail(`data_offsets ${show(offsets)}: begin is after end`);
  const bytes = shape.reduce((product, size) => product * size, stored.blockBytes);
  if (bytes !== end - begin) throw fail(`shape ${show(shape)} x ${dtype} needs ${bytes} bytes but its offsets span ${end - begin}`);
  return { name, dtype, shape, start: dataStart + begin, bytes };
}

function isSizes(value: unknown): value is readonly number[] {
  return Array.isArray(value) && value.every((size) => Number.isSafeInteger(size) && size >= 0);
}

const show = (value: unknown): string => JSON.stringify(value)?.slice(0, 80) ?? 'undefined';

/** Tensors must lie one after the other from the first byte of the data to the last. */
function checkCoverage(tensors: readonly StoredTensor[], dataStart: number, dataBytes: number, path: string): void {
  const fail = (what: string): InputError => new InputError({ code: 'safetensors_offsets', what, given: path });
  let end = dataStart;
  let before = 'the header';
  for (const tensor of tensors) {
    if (tensor.start < end) throw fail(`tensor ${showName(tensor.name)} and ${before} overlap`);
    if (tensor.start > end) throw fail(`${tensor.start - end} bytes between ${before} and tensor ${showName(tensor.name)} belong to none`);
    end += tensor.bytes;
    before = `tensor ${showName(tensor.name)}`;
    if (end > dataStart + dataBytes)
      throw fail(
        `the file is cut short: tensor ${showName(tensor.name)} ends at byte ${end - dataStart} but the data section has only ${dataBytes} bytes`,
      );
  }
  if (end < dataStart + dataBytes)
    throw fail(`the data section has ${dataStart + dataBytes - end} bytes more than the header accounts for`);
}

function readMetadata(metadata: unknown): Record<string, string> {
  if (typeof metadata !== 'object' || metadata === null) return {};
  return Object.fromEntries(Object.entries(metadata).filter((entry): entry is [string, string] => typeof entry[1] === 'string'));
}
