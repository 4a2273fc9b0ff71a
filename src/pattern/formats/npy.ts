/** NumPy arrays, format version 1.0: magic, header length, a Python dict padded to 64 bytes, then the values in C order, little-endian. */
import { InternalError } from '../../errors.js';
import { littleEndian, readFloat32, readInt32 } from './bytes.js';
import type { Values } from './bytes.js';
import { arraysOf, compareArrays } from './format.js';
import type { Arrays, ExportContent, PatternFormat, ReadFile } from './format.js';

const MAGIC = Buffer.from([0x93, 0x4e, 0x55, 0x4d, 0x50, 0x59, 1, 0]);
const ALIGNMENT = 64;

/** NumPy's names of the types; a byte stands for a bool. */
function descriptor(values: Values): string {
  return values instanceof Float32Array ? '<f4' : values instanceof Int32Array ? '<i4' : '|b1';
}

/** The bytes of a .npy file. */
export function encodeNpy(values: Values, shape: readonly number[]): Uint8Array {
  const dimensions = shape.length === 1 ? `(${shape[0]},)` : `(${shape.join(', ')})`;
  const dict = `{'descr': '${descriptor(values)}', 'fortran_order': False, 'shape': ${dimensions}, }`;
  const preamble = MAGIC.length + 2;
  const padding = ALIGNMENT - 1 - ((preamble + dict.length) % ALIGNMENT);
  const header = Buffer.from(`${dict}${' '.repeat(padding)}\n`, 'latin1');
  const length = Buffer.alloc(2);
  length.writeUInt16LE(header.length);
  return Buffer.concat([MAGIC, length, header, littleEndian(values)]);
}

/** The data of a .npy file. @throws InternalError when its header is not that of such values in this shape */
function decodeNpy(bytes: Uint8Array, shape: readonly number[], like: Values): Buffer {
  const file = Buffer.from(bytes);
  const expected = encodeNpy(like, shape);
  const headerEnd = 10 + file.readUInt16LE(8);
  if (Buffer.compare(file.subarray(0, headerEnd), expected.subarray(0, headerEnd)) !== 0)
    throw new InternalError('the .npy header differs');
  return file.subarray(headerEnd);
}

export const npyFormat: PatternFormat = {
  name: 'npy',
  writes: 'gates.npy float32 (layers, KV heads), windows.npy int32 (2): sink, recent; with a cut mask.npy bool (layers, KV heads)',
  files: ['gates.npy', 'windows.npy', 'mask.npy'],
  write: (content) => {
    const { gates, windows, mask } = arraysOf(content);
    const { layers, kvHeads } = content.pattern.model;
    return new Map([
      ['gates.npy', encodeNpy(gates, [layers, kvHeads])],
      ['windows.npy', encodeNpy(windows, [2])],
      ...(mask === undefined ? [] : [['mask.npy', encodeNpy(mask, [layers, kvHeads])] as const]),
    ]);
  },
  load: (folder, { cut }) => [
    `gates = numpy.load("${folder}/gates.npy")  # float32, gates[layer, kv_head]`,
    `sink, recent = numpy.load("${folder}/windows.npy")  # int32, tokens; recent counts the current one`,
    ...(cut === undefined ? [] : [`mask = numpy.load("${folder}/mask.npy")  # bool, True = retrieval head (full cache)`]),
  ],
  verify: (read, content) => compareArrays(readArrays(read, content), content),
};

function readArrays(read: ReadFile, content: ExportContent): Arrays {
  const like = arraysOf(content);
  const { layers, kvHeads } = content.pattern.model;
  return {
    gates: readFloat32(decodeNpy(read('gates.npy'), [layers, kvHeads], like.gates)),
    windows: readInt32(decodeNpy(read('windows.npy'), [2], like.windows)),
    mask: like.mask === undefined ? undefined : decodeNpy(read('mask.npy'), [layers, kvHeads], like.mask),
  };
}
