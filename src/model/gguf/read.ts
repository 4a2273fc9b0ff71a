/**
 * The GGUF format, versions 2 and 3: magic, version and two counts, then metadata, then the tensor list, then the data
 * (github.com/ggml-org/ggml, docs/gguf.md). A file may come from anywhere: its header is read once, in small pieces, and
 * no count, length or offset in it is believed before it has been held against the file's size.
 */
import { closeSync, readSync } from 'node:fs';
import { basename } from 'node:path';
import { InputError } from '../../errors.js';
import { openRegular } from '../../untrusted.js';
import { ByteCursor } from './byte-cursor.js';
import { readMetadata } from './metadata.js';
import type { GgufMetadata } from './metadata.js';
import { placeTensors, readTensorInfos } from './tensors.js';
import { showText, showValue } from '../show-name.js';
import { requireLittleEndian } from '../stored-dtypes.js';
import type { WeightFile } from '../weight-file.js';

export type { GgufMetadata, GgufScalar, GgufValue } from './metadata.js';

/** A vocabulary of 256,000 tokens with scores and merges takes about 16 MB. */
const MAX_HEADER_BYTES = 64 << 20;
const DEFAULT_ALIGNMENT = 32;
const MAX_ALIGNMENT = 2 ** 31;
const VERSIONS: readonly number[] = [2, 3];
const MAGIC = 'GGUF';

export interface GgufFile extends WeightFile {
  readonly version: number;
  readonly metadata: GgufMetadata;
}

/** Reads and checks the header: metadata, and tensors with their types and places. @throws InputError naming what is wrong, and where. */
export function readGguf(path: string): GgufFile {
  requireLittleEndian();
  const { descriptor, bytes: size } = openRegular(path);
  try {
    checkMagic(descriptor, size, path);
    const cursor = new ByteCursor(descriptor, size, MAX_HEADER_BYTES, path);
    cursor.uint32();
    const version = readVersion(cursor);
    const [tensorCount, keyCount] = [cursor.uint64(), cursor.uint64()];
    const metadata = readMetadata(cursor, keyCount);
    const infos = readTensorInfos(cursor, tensorCount);
    const alignment = readAlignment(metadata, path);
    const dataStart = Math.ceil(cursor.position / alignment) * alignment;
    const tensors = placeTensors(infos, dataStart, alignment, cursor);
    return { path, bytes: size, version, metadata, tensors: new Map(tensors.map((tensor) => [tensor.name, tensor])) };
  } finally {
    closeSync(descriptor);
  }
}

/** @throws InputError when the first bytes are another format's. */
function checkMagic(descriptor: number, size: number, path: string): void {
  const bytes = Buffer.alloc(9);
  const start = bytes.toString('latin1', 0, readSync(descriptor, bytes, 0, bytes.length, 0));
  const magic = start.slice(0, MAGIC.length);
  if (magic === MAGIC) return;
  // Safetensors: eight bytes of length, then JSON.
  const looksLike = start.endsWith('{') ? ' (the first bytes look like safetensors)' : '';
  throw new InputError({
    code: 'gguf_magic',
    what: `${basename(path)}: ${size === 0 ? 'the file is empty' : `not a GGUF file: its magic is ${showText(magic)}${looksLike}`}`,
    given: path,
    expected: `a GGUF file, which starts with ${MAGIC}`,
  });
}

function readVersion(cursor: ByteCursor): number {
  const version = cursor.uint32();
  if (VERSIONS.includes(version)) return version;
  // The low half of a version is never zero, unless its bytes come in the other order.
  const swapped = (version & 0xffff) === 0;
  throw new InputError({
    code: 'gguf_version',
    what: `${basename(cursor.path)}: GGUF version ${version}${swapped ? ': a big-endian file, which' : ''} is not supported`,
    given: cursor.path,
    expected: `version ${VERSIONS.join(' or ')}, little-endian`,
  });
}

function readAlignment(metadata: GgufMetadata, path: string): number {
  const alignment = metadata.get('general.alignment') ?? DEFAULT_ALIGNMENT;
  if (typeof alignment === 'number' && alignment >= 1 && alignment <= MAX_ALIGNMENT && Number.isInteger(Math.log2(alignment)))
    return alignment;
  throw new InputError({
    code: 'gguf_alignment',
    what: `key general.alignment must be a power of two, got ${showValue(alignment)}`,
    given: path,
    expected: 'a power of two up to 2^31',
  });
}
