/** The tensor list of a GGUF file: names, dimensions, types, and where the data lies. */
import { at, InputError, InternalError } from '../../errors.js';
import type { ByteCursor } from './byte-cursor.js';
import { checkCount, MAX_NAME_BYTES } from './metadata.js';
import { showName } from '../show-name.js';
import { STORED_DTYPES } from '../stored-dtypes.js';
import { weightDtypes } from '../weight-file.js';
import type { StoredTensor } from '../weight-file.js';

/** Dense decoders have some ten tensors a layer. */
const MAX_TENSORS = 100_000;
/** Length of a name of one byte, the name, one dimension, type and offset. */
const MIN_TENSOR_BYTES = 33;
const MAX_DIMENSIONS = 4;

/** ggml's types by their number (`enum ggml_type`, ggml/include/ggml.h). */
const TYPES: ReadonlyMap<number, string> = new Map([
  [0, 'F32'],
  [1, 'F16'],
  [2, 'Q4_0'],
  [3, 'Q4_1'],
  [6, 'Q5_0'],
  [7, 'Q5_1'],
  [8, 'Q8_0'],
  [9, 'Q8_1'],
  [10, 'Q2_K'],
  [11, 'Q3_K'],
  [12, 'Q4_K'],
  [13, 'Q5_K'],
  [14, 'Q6_K'],
  [15, 'Q8_K'],
  [16, 'IQ2_XXS'],
  [17, 'IQ2_XS'],
  [18, 'IQ3_XXS'],
  [19, 'IQ1_S'],
  [20, 'IQ4_NL'],
  [21, 'IQ3_S'],
  [22, 'IQ2_S'],
  [23, 'IQ4_XS'],
  [24, 'I8'],
  [25, 'I16'],
  [26, 'I32'],
  [27, 'I64'],
  [28, 'F64'],
  [29, 'IQ1_M'],
  [30, 'BF16'],
  [34, 'TQ1_0'],
  [35, 'TQ2_0'],
  [39, 'MXFP4'],
  [40, 'NVFP4'],
  [41, 'Q1_0'],
]);

/** Types that ggml once had and no longer reads. */
const REMOVED_TYPES: ReadonlyMap<number, string> = new Map([
  [4, 'Q4_2'],
  [5, 'Q4_3'],
  [31, 'Q4_0_4_4'],
  [32, 'Q4_0_4_8'],
  [33, 'Q4_0_8_8'],
  [36, 'IQ4_NL_4_4'],
  [37, 'IQ4_NL_4_8'],
  [38, 'IQ4_NL_8_8'],
]);

/** A tensor as the list has it: its offset is that in the data, not yet checked. */
interface TensorInfo extends Omit<StoredTensor, 'start'> {
  readonly offset: number | bigint;
}

/** Reads the list of `count` tensors. @throws InputError naming the tensor at fault. */
export function readTensorInfos(cursor: ByteCursor, count: number | bigint): readonly TensorInfo[] {
  checkCount('tensor', count, MAX_TENSORS, MIN_TENSOR_BYTES, cursor);
  const names = new Set<string>();
  return Array.from({ length: Number(count) }, (_, i) => {
    cursor.where = `the tensor list (name of tensor ${i + 1} of ${count})`;
    const name = cursor.text(MAX_NAME_BYTES);
    if (names.has(name)) throw wrongTensor(name, 'appears twice', 'each tensor once', cursor);
    names.add(name);
    cursor.where = `the tensor list (tensor ${i + 1} of ${count}, ${showName(name)})`;
    const dimensions = readDimensions(cursor, name);
    const dtype = readType(cursor, name);
    return { name, dtype, shape: dimensions.toReversed(), bytes: bytesOf(dimensions, dtype, name, cursor), offset: cursor.uint64() };
  });
}

/** Sizes as the file has them: the length of a row first. */
function readDimensions(cursor: ByteCursor, name: string): readonly number[] {
  const count = cursor.uint32();
  if (count < 1 || count > MAX_DIMENSIONS) throw wrongTensor(name, `${count} dimensions`, `1 to ${MAX_DIMENSIONS} of them`, cursor);
  const sizes = Array.from({ length: count }, () => cursor.uint64());
  const zero = sizes.indexOf(0);
  if (zero >= 0) throw wrongTensor(name, `dimension ${zero} is zero`, 'sizes above zero', cursor);
  if (!Number.isSafeInteger(sizes.reduce((product: number, size) => product * Number(size), 1)))
    throw wrongTensor(name, `dimensions ${sizes.join(' x ')} overflow`, 'a product below 2^53', cursor);
  return sizes.map(Number);
}

function readType(cursor: ByteCursor, name: string): string {
  const type = cursor.uint32();
  const removed = REMOVED_TYPES.get(type);
  if (removed !== undefined)
    throw wrongTensor(name, `type ${type} (${removed}) was removed and is not supported`, supportedTypes(), cursor);
  const dtype = TYPES.get(type);
  if (dtype === undefined) throw wrongTensor(name, `unknown type ${type}`, supportedTypes(), cursor);
  return dtype;
}

function bytesOf(dimensions: readonly number[], dtype: string, name: string, cursor: ByteCursor): number {
  const stored = STORED_DTYPES.get(dtype);
  if (stored === undefined) throw new InternalError(`the size of ${dtype} is not known`);
  const { blockValues, blockBytes } = stored;
  const row = at(dimensions, 0);
  if (row % blockValues !== 0)
    throw wrongTensor(name, `row length ${row} is not a multiple of ${blockValues} (${dtype})`, 'rows of whole blocks', cursor);
  return (dimensions.reduce((product, size) => product * size, 1) / blockValues) * blockBytes;
}

/**
 * The tensors where they lie, in the order of their data. `dataStart` is where offsets count from.
 * @throws InputError when one is unaligned, outside the file, or shares bytes with another.
 */
export function placeTensors(
  infos: readonly TensorInfo[],
  dataStart: number,
  alignment: number,
  cursor: ByteCursor,
): readonly StoredTensor[] {
  const tensors = infos.map((info) => placeTensor(info, dataStart, alignment, cursor)).sort((a, b) => a.start - b.start);
  tensors.slice(1).forEach((tensor, i) => {
    const before = at(tensors, i);
    if (tensor.start < before.start + before.bytes)
      throw new InputError({
        code: 'gguf_tensor',
        what: `tensors ${showName(before.name)} and ${showName(tensor.name)} overlap`,
        given: cursor.path,
        expected: 'tensors that share no bytes',
      });
  });
  return tensors;
}

function placeTensor({ offset, ...tensor }: TensorInfo, dataStart: number, alignment: number, cursor: ByteCursor): StoredTensor {
  if (BigInt(offset) % BigInt(alignment) !== 0n)
    throw wrongTensor(tensor.name, `offset ${offset} is not a multiple of the alignment ${alignment}`, 'an aligned offset', cursor);
  const start = dataStart + Number(offset);
  if (start >= cursor.size) throw wrongTensor(tensor.name, `offset ${offset} is past the end of the file`, wholeFile(cursor), cursor);
  if (start + tensor.bytes > cursor.size)
    throw wrongTensor(
      tensor.name,
      `the file is cut short: it needs bytes up to ${start + tensor.bytes}, the file has ${cursor.size}`,
      wholeFile(cursor),
      cursor,
    );
  return { ...tensor, start };
}

const supportedTypes = (): string => `one of: ${weightDtypes()}`;
const wholeFile = (cursor: ByteCursor): string => `a whole file, where this one has ${cursor.size} bytes`;

function wrongTensor(name: string, problem: string, expected: string, cursor: ByteCursor): InputError {
  return new InputError({ code: 'gguf_tensor', what: `tensor ${showName(name)}: ${problem}`, given: cursor.path, expected });
}
