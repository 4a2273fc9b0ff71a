/** NaN and infinity in weights, found wherever they are. */
import { join } from 'node:path';
import { InputError } from '../../src/errors.js';
import { firstNonFinite, requireFinite } from '../../src/model/finite.js';
import { readSafetensors } from '../../src/model/safetensors.js';
import { streamWeights } from '../../src/model/weight-file.js';
import { safetensorsBytes, writeFolder } from '../helpers/checkpoints.js';
import { temporaryFolder } from '../helpers/temporary.js';

const root = temporaryFolder();

const LARGEST = (2 - 2 ** -23) * 2 ** 127;

test.each([Number.NaN, Infinity, -Infinity])('firstNonFinite finds %d', (value) => {
  expect(firstNonFinite(Float32Array.of(1, -0, value, value))).toBe(2);
});

test('firstNonFinite takes every finite number', () => {
  expect(firstNonFinite(Float32Array.of(LARGEST, -LARGEST, 2 ** -149, -(2 ** -149), 0, -0))).toBe(-1);
});

function messageOf(body: () => unknown): string {
  try {
    body();
  } catch (error) {
    if (error instanceof InputError) return error.message;
  }
  return 'accepted';
}

test.each([
  [[7, 5], 30, 'row 6, column 1'],
  [[64], 30, 'index 31'],
  [[2, 4, 8], 30, 'index 0, 3, 7'],
])('a place in shape %j is named, counted from 0', (shape, from, place) => {
  expect(messageOf(() => requireFinite(Float32Array.of(0, Infinity), from, { name: 'w', shape }, 'file'))).toBe(
    `tensor w holds infinity at ${place}`,
  );
});

describe('streamWeights', () => {
  const rows = 600;
  const columns = 1000;
  const bad = 599 * columns + 17; // beyond the first piece
  const half = (value: number): Uint8Array => {
    const values = new Uint16Array(rows * columns);
    values[bad] = value;
    return new Uint8Array(values.buffer);
  };

  test.each([
    ['F16', 0x7c00, 'infinity'],
    ['F16', 0x7e01, 'NaN'],
    ['BF16', 0xff80, 'infinity'],
    ['BF16', 0x7fc0, 'NaN'],
  ])('refuses %s %i', async (dtype, value, found) => {
    const bytes = safetensorsBytes({ w: { dtype, shape: [rows, columns], bytes: half(value) } });
    const folder = writeFolder(join(root, `${dtype}-${value}`), { 'a.safetensors': bytes });
    const reading = streamWeights(readSafetensors(join(folder, 'a.safetensors')), {
      wants: () => true,
      allocate: (length) => new Float32Array(length),
      onBytes: () => undefined,
      onTensor: () => undefined,
      check: () => undefined,
    });
    await expect(reading).rejects.toThrow(`tensor w holds ${found} at row 599, column 17`);
  });
});
