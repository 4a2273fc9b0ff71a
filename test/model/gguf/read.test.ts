import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { at, InputError } from '../../../src/errors.js';
import { readGguf } from '../../../src/model/gguf/read.js';
import type { GgufFile } from '../../../src/model/gguf/read.js';
import { ggufBytes, joined, text, uint32, uint64, value } from '../../helpers/gguf.js';
import type { GgufSource, GgufTensorSource, ValueSource } from '../../helpers/gguf.js';
import { temporaryFolder } from '../../helpers/temporary.js';

const folder = temporaryFolder();

let written = 0;
function write(bytes: Uint8Array): string {
  const path = join(folder, `${written++}.gguf`);
  writeFileSync(path, bytes);
  return path;
}

const read = (source: GgufSource): GgufFile => readGguf(write(ggufBytes(source)));

function refusal(bytes: Uint8Array): string {
  try {
    readGguf(write(bytes));
  } catch (error) {
    if (error instanceof InputError) return error.message;
    throw error;
  }
  return 'accepted';
}

const keyed = (source: ValueSource): Uint8Array => ggufBytes({ keys: [['x.key', source]] });
/** A tensor of 8 x 4 float32. */
const matrix = (changes: Partial<GgufTensorSource> = {}): GgufTensorSource => ({
  name: 'w',
  dimensions: [8, 4],
  data: new Uint8Array(128),
  ...changes,
});
const listed = (...tensors: readonly Partial<GgufTensorSource>[]): Uint8Array => ggufBytes({ tensors: tensors.map(matrix) });

describe('readGguf', () => {
  test.each([2, 3])('keeps values of every type in version %d', (version) => {
    const keys: [string, ValueSource, unknown][] = [
      ['a', value.uint8(255), 255],
      ['b', value.int8(-1), -1],
      ['c', value.uint16(65_535), 65_535],
      ['d', value.int16(-2), -2],
      ['e', value.uint32(2 ** 32 - 1), 2 ** 32 - 1],
      ['f', value.int32(-3), -3],
      ['g', value.float32(0.5), 0.5],
      ['h', value.bool(1), true],
      ['i', value.text('Ġ þ 語 \uFFFD \u{1F600}'), 'Ġ þ 語 \uFFFD \u{1F600}'],
      ['j', value.uint64(2n ** 53n - 1n), 2 ** 53 - 1],
      ['k', value.uint64(2n ** 64n - 1n), 2n ** 64n - 1n],
      ['l', value.int64(-(2n ** 53n) + 1n), -(2 ** 53) + 1],
      ['m', value.int64(-(2n ** 63n)), -(2n ** 63n)],
      ['n', value.float64(1e300), 1e300],
      ['o', value.list(8, [value.text('a'), value.text('')]), ['a', '']],
      ['p', value.list(5, [value.int32(7), value.int32(-7)]), [7, -7]],
      ['q', value.list(6, []), []],
    ];
    const file = read({ version, keys: keys.map(([name, source]) => [name, source]) });
    expect(file.version).toBe(version);
    expect([...file.metadata]).toEqual(keys.map(([name, , expected]) => [name, expected]));
  });

  test('keeps long texts and lists that pass over the window it reads through', () => {
    const long = 'é'.repeat(300_000);
    const words = Array.from({ length: 60_000 }, (_, i) => `token ${i}`);
    const { metadata } = read({ keys: [['long', value.text(long)], ['words', value.list(8, words.map(value.text))], ['last', value.bool(0)]] }); // prettier-ignore
    expect(metadata.get('long')).toBe(long);
    expect(metadata.get('words')).toEqual(words);
    expect(metadata.get('last')).toBe(false);
  });

  test('gives shapes as (out, in), in the order of the data', () => {
    const file = read({
      tensors: [
        matrix({ name: 'b', offset: 128 }),
        matrix({ name: 'a', offset: 0, dimensions: [32] }),
        matrix({ name: 'c', dimensions: [2, 4, 2, 2] }),
      ],
    });
    const start = file.bytes - 3 * 128;
    expect([...file.tensors.values()]).toEqual([
      { name: 'a', dtype: 'F32', shape: [32], start, bytes: 128 },
      { name: 'b', dtype: 'F32', shape: [4, 8], start: start + 128, bytes: 128 },
      { name: 'c', dtype: 'F32', shape: [2, 2, 4, 2], start: start + 256, bytes: 128 },
    ]);
  });

  test.each([1, 8, 64, 4096])('starts the data on a multiple of general.alignment %d', (alignment) => {
    const file = read({ keys: [['general.alignment', value.uint32(alignment)]], tensors: [matrix({ data: new Uint8Array(128).fill(1) })], alignment }); // prettier-ignore
    const tensor = at([...file.tensors.values()], 0);
    expect(tensor.start % alignment).toBe(0);
    expect(file.bytes - tensor.start).toBe(Math.ceil(128 / alignment) * alignment);
  });

  // Sizes of ggml's types for 256 values (GGML_QUANT_SIZES of its Python package), also of those that weights here may not have.
  test.each([
    [0, 'F32', 1024],
    [1, 'F16', 512],
    [2, 'Q4_0', 144],
    [3, 'Q4_1', 160],
    [6, 'Q5_0', 176],
    [7, 'Q5_1', 192],
    [8, 'Q8_0', 272],
    [9, 'Q8_1', 320],
    [10, 'Q2_K', 84],
    [11, 'Q3_K', 110],
    [12, 'Q4_K', 144],
    [13, 'Q5_K', 176],
    [14, 'Q6_K', 210],
    [15, 'Q8_K', 292],
    [16, 'IQ2_XXS', 66],
    [17, 'IQ2_XS', 74],
    [18, 'IQ3_XXS', 98],
    [19, 'IQ1_S', 50],
    [20, 'IQ4_NL', 144],
    [21, 'IQ3_S', 110],
    [22, 'IQ2_S', 82],
    [23, 'IQ4_XS', 136],
    [24, 'I8', 256],
    [25, 'I16', 512],
    [26, 'I32', 1024],
    [27, 'I64', 2048],
    [28, 'F64', 2048],
    [29, 'IQ1_M', 56],
    [30, 'BF16', 512],
    [34, 'TQ1_0', 54],
    [35, 'TQ2_0', 66],
    [39, 'MXFP4', 136],
    [40, 'NVFP4', 144],
    [41, 'Q1_0', 36],
  ])('knows type %d as %s', (type, dtype, bytes) => {
    // prettier-ignore
    const file = read({ tensors: [{ name: 'w', type, dimensions: [256], data: new Uint8Array(bytes) }] });
    expect(file.tensors.get('w')).toMatchObject({ dtype, bytes });
  });

  test.each<readonly [string, Uint8Array, RegExp]>([
    ['an empty file', new Uint8Array(0), /the file is empty/],
    ['another magic', ggufBytes({ magic: 'GGJT' }), /not a GGUF file: its magic is "GGJT"$/],
    ['a safetensors file', joined(uint64(2), new TextEncoder().encode('{}')), /the first bytes look like safetensors/],
    ['terminal codes for a magic', ggufBytes({ magic: '\u001b[2J' }), /its magic is "\\u001b\[2J"$/],
    ['version 1', ggufBytes({ version: 1 }), /GGUF version 1 is not supported/],
    ['version 4', ggufBytes({ version: 4 }), /GGUF version 4 is not supported/],
    ['a big-endian file', ggufBytes({ version: 0x02000000 }), /GGUF version 33554432: a big-endian file, which is not supported/],
    ['half a header', ggufBytes({}).slice(0, 20), /ends inside the header/],
    ['more keys than bytes', ggufBytes({ keyCount: 2n ** 60n }), /metadata count 1152921504606846976 is impossible for a file of 32 bytes/],
    ['more tensors than bytes', ggufBytes({ tensorCount: 2n ** 64n - 1n }), /tensor count 18446744073709551615 is impossible/],
    ['a count that the file could almost hold', ggufBytes({ keyCount: 1n }), /metadata count 1 is impossible for a file of 32 bytes/],
    [
      'a text beyond the file',
      keyed({ type: 8, bytes: text('abc', 2n ** 63n) }),
      /\(key 1 of 1, x\.key\): a text of 9223372036854775808 bytes/,
    ],
    [
      'a key beyond the file',
      ggufBytes({ keys: [['k'.repeat(70), value.bool(1)]] }).slice(0, 60),
      /ends inside the metadata \(name of key 1/,
    ],
    ['a name of 65,536 bytes', ggufBytes({ keys: [['k'.repeat(65_536), value.bool(1)]] }), /a text of 65536 bytes in the metadata/],
    [
      'a text that is not UTF-8',
      keyed({ type: 8, bytes: joined(uint64(2), Uint8Array.of(0xc3, 0x28)) }),
      /\(key 1 of 1, x\.key\) is not valid UTF-8/,
    ],
    ['a list beyond the file', keyed(value.list(8, [], 2n ** 62n)), /x\.key\): an array of 4611686018427387904 elements/],
    ['a list of bytes beyond the file', keyed(value.list(0, [], 65n)), /x\.key\): an array of 65 elements/],
    ['lists of lists', keyed(value.list(9, [value.list(0, [])])), /key x\.key holds arrays of arrays/],
    ['an unknown value type', keyed({ type: 77, bytes: uint32(0) }), /key x\.key has unknown value type 77/],
    ['an unknown element type', keyed(value.list(13, [])), /key x\.key has unknown value type 13/],
    ['a bool of 2', keyed(value.bool(2)), /a bool in the metadata \(key 1 of 1, x\.key\) is 2/],
    ['a key that appears twice', ggufBytes({ keys: [['a', value.bool(1)], ['a', value.bool(1)]] }), /key a appears twice/], // prettier-ignore
    [
      'terminal codes in a key',
      ggufBytes({ keys: [['\u001b]0;x\u0007\u009b', { type: 99, bytes: uint32(0) }]] }),
      /key "\\u001b\]0;x\\u0007\\u009b" has/,
    ],
    ['no dimensions', listed({ dimensions: [] }), /tensor w: 0 dimensions$/],
    ['five dimensions', listed({ dimensions: [1, 1, 1, 1, 1] }), /tensor w: 5 dimensions$/],
    ['more dimensions than memory', listed({ dimensionCount: 2 ** 32 - 1 }), /tensor w: 4294967295 dimensions/],
    ['a dimension of zero', listed({ dimensions: [8, 0] }), /tensor w: dimension 1 is zero/],
    ['dimensions that overflow', listed({ dimensions: [2n ** 32n, 2n ** 32n] }), /tensor w: dimensions 4294967296 x 4294967296 overflow/],
    ['dimensions of 2^64 - 1', listed({ dimensions: [2n ** 64n - 1n] }), /tensor w: dimensions 18446744073709551615 overflow/],
    ['an unknown type', listed({ type: 42 }), /tensor w: unknown type 42/],
    ...(
      [
        [4, 'Q4_2'],
        [5, 'Q4_3'],
        [31, 'Q4_0_4_4'],
        [33, 'Q4_0_8_8'],
        [36, 'IQ4_NL_4_4'],
      ] as const
    ).map(
      // prettier-ignore
      ([type, name]) => [`type ${name}`, listed({ type }), new RegExp(`tensor w: type ${type} \\(${name}\\) was removed`)] as const,
    ),
    ['half a block in a row', listed({ type: 2, dimensions: [48, 2] }), /tensor w: row length 48 is not a multiple of 32 \(Q4_0\)/],
    ['a row of no whole K block', listed({ type: 14, dimensions: [128, 2] }), /tensor w: row length 128 is not a multiple of 256 \(Q6_K\)/],
    ['a tensor that appears twice', listed({}, {}), /tensor w: appears twice/],
    ['an unaligned offset', listed({ offset: 33 }), /tensor w: offset 33 is not a multiple of the alignment 32/],
    ['an offset beyond the file', listed({ offset: 2n ** 40n }), /tensor w: offset 1099511627776 is past the end of the file/],
    ['an offset of 2^64 - 32', listed({ offset: 2n ** 64n - 32n }), /tensor w: offset 18446744073709551584 is past the end of the file/],
    ['data that is cut short', listed({}).slice(0, -1), /tensor w: the file is cut short: it needs bytes up to \d+, the file has \d+/],
    ['overlapping tensors', listed({ name: 'a' }, { name: 'b', offset: 96 }), /tensors a and b overlap/],
    ['tensors in the same place', listed({ name: 'a' }, { name: 'b', offset: 0 }), /tensors a and b overlap/],
    [
      'half a tensor list',
      listed({ name: 'first' }, { name: 'second' }).slice(0, 100),
      /ends inside the tensor list \((name of )?tensor 2 of 2/,
    ],
    ...[0, 24, 3, 2 ** 31 + 1].map(
      (alignment) =>
        [`an alignment of ${alignment}`, ggufBytes({ keys: [['general.alignment', value.uint32(alignment)]] }), /general\.alignment must be a power of two, got \d+$/] as const, // prettier-ignore
    ),
    [
      'an alignment that is a text',
      ggufBytes({ keys: [['general.alignment', value.text('32')]] }),
      /must be a power of two, got the text "32"$/,
    ],
  ])('refuses %s', (_title, bytes, message) => {
    expect(refusal(bytes)).toMatch(message);
  });

  test('takes no memory for what a header only claims', () => {
    const claims = [
      ggufBytes({ keyCount: 2n ** 40n }),
      ggufBytes({ tensorCount: 2n ** 40n }),
      keyed(value.list(0, [], 2n ** 40n)),
      keyed({ type: 8, bytes: text('', 2n ** 40n) }),
      listed({ dimensions: [2 ** 20, 2 ** 20] }),
    ].map(write);
    const before = process.memoryUsage().arrayBuffers + process.memoryUsage().heapTotal;
    for (const path of claims) expect(() => readGguf(path)).toThrow(InputError);
    expect(process.memoryUsage().arrayBuffers + process.memoryUsage().heapTotal - before).toBeLessThan(32 << 20);
  });

  test('refuses every file that is cut short, wherever that is, without any other error', () => {
    const whole = ggufBytes({
      keys: [['a', value.text('some text')], ['b', value.list(8, [value.text('x'), value.text('yz')])], ['c', value.float64(1)]], // prettier-ignore
      tensors: [matrix({ name: 'first' }), matrix({ name: 'second' })],
    });
    for (let length = 0; length < whole.length; length++) expect(refusal(whole.slice(0, length))).not.toBe('accepted');
  });
});
