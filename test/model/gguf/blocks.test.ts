import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { at } from '../../../src/errors.js';
import { BLOCK_FORMATS } from '../../../src/model/gguf/blocks.js';
import { readSafetensors } from '../../../src/model/safetensors.js';
import { readTensor } from '../../../src/model/weight-file.js';
import { describeShared, SHARED } from '../../helpers/paths.js';

const READ = [...BLOCK_FORMATS].flatMap(([name, { widen, ...size }]) => (widen === undefined ? [] : [{ name, widen, ...size }]));

/** Bytes that start `shift` bytes into their memory. */
function shifted(bytes: Uint8Array, shift: number): Uint8Array {
  const moved = new Uint8Array(new ArrayBuffer(bytes.length + shift), shift);
  moved.set(bytes);
  return moved;
}

function widened(name: string, bytes: Uint8Array): Float32Array {
  const { blockValues, blockBytes, widen } = at(
    READ.filter((row) => row.name === name),
    0,
  );
  const values = new Float32Array((bytes.length / blockBytes) * blockValues);
  widen(bytes, values);
  return values;
}

/** A block of ones and zeros, but for `changes` by byte. */
function block(name: string, changes: Readonly<Record<number, number>>): Uint8Array {
  const bytes = new Uint8Array(BLOCK_FORMATS.get(name)?.blockBytes ?? 0);
  for (const [byte, number] of Object.entries(changes)) bytes[Number(byte)] = number;
  return bytes;
}

/** 1.0 and 2.0 as float16, high byte. */
const ONE = 0x3c;
const TWO = 0x40;

describe('quantized blocks', () => {
  test.each(READ)('$name: $blockBytes bytes become $blockValues values, wherever they start', ({ name, blockBytes, blockValues }) => {
    const bytes = Uint8Array.from({ length: 3 * blockBytes }, (_, i) => (i * 37 + (i >> 3)) & 0x3b);
    const values = widened(name, bytes);
    expect(values).toHaveLength(3 * blockValues);
    expect(values.some((number) => number !== 0)).toBe(true);
    for (const shift of [1, 2, 3]) expect(widened(name, shifted(bytes, shift))).toEqual(values);
    expect([...widened(name, bytes.subarray(blockBytes))]).toEqual([...values.subarray(blockValues)]);
  });

  // What the layouts say, worked out by hand: which bits make which value.
  test.each([
    { name: 'Q4_0', changes: { 1: ONE, 2: 0x1f }, index: [0, 16, 1], expected: [7, -7, -8] },
    { name: 'Q4_1', changes: { 1: ONE, 3: TWO, 4: 0x1f }, index: [0, 16, 1], expected: [17, 3, 2] },
    { name: 'Q5_0', changes: { 1: ONE, 2: 1, 4: 1, 6: 0x10 }, index: [0, 16, 1], expected: [0, 1, -16] },
    { name: 'Q5_1', changes: { 1: ONE, 3: TWO, 4: 2, 8: 3 }, index: [0, 1, 16], expected: [5, 18, 2] },
    { name: 'Q8_0', changes: { 1: TWO, 2: 0x80, 33: 127 }, index: [0, 31, 1], expected: [-256, 254, 0] },
    { name: 'Q2_K', changes: { 0: 0x23, 16: 0xe4, 81: ONE, 83: TWO }, index: [0, 1, 32, 96], expected: [-4, -4, 0, 0] },
    { name: 'Q3_K', changes: { 0: 1, 32: 3, 96: 0, 104: 3, 109: ONE }, index: [0, 1], expected: [48, -64] },
    { name: 'Q4_K', changes: { 1: ONE, 3: TWO, 4: 3, 8: 2, 16: 0x51 }, index: [0, 1, 32], expected: [-1, -4, 0] },
    { name: 'Q5_K', changes: { 1: ONE, 3: TWO, 4: 3, 16: 1, 48: 0x51 }, index: [0, 1], expected: [51, 0] },
    { name: 'Q6_K', changes: { 0: 0x51, 128: 1, 192: 0xff, 209: ONE }, index: [0, 1], expected: [15, 32] },
    { name: 'IQ4_NL', changes: { 1: ONE, 2: 0xf0 }, index: [0, 16], expected: [-127, 113] },
    { name: 'IQ4_XS', changes: { 1: ONE, 2: 2, 4: 1, 8: 0xf0 }, index: [0, 16], expected: [-127, 113] },
  ])('$name: single bits land where they should', ({ name, changes, index, expected }) => {
    const values = widened(name, block(name, changes));
    expect(index.map((i) => at(values, i))).toEqual(expected);
  });

  describeShared('random blocks', () => {
    test.each(READ)('$name: gives the values of the reference to the last bit', ({ name }) => {
      const file = readSafetensors(join(SHARED, 'golden', 'gguf', 'blocks.golden.safetensors'));
      const [raw, values] = ['raw', 'values'].map((kind) => file.tensors.get(`${name}.${kind}`));
      if (raw === undefined || values === undefined) throw new Error(`no golden of ${name}`);
      const blocks = new Uint8Array(readFileSync(file.path)).subarray(raw.start, raw.start + raw.bytes);
      expect(widened(name, blocks)).toEqual(readTensor(file, values));
    });
  });
});
