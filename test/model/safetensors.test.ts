import { createHash } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { at, InputError } from '../../src/errors.js';
import { readSafetensors } from '../../src/model/safetensors.js';
import { readTensor, streamWeights } from '../../src/model/weight-file.js';
import { float32Tensor, fromHeader, safetensorsBytes } from '../helpers/checkpoints.js';
import type { TensorSource } from '../helpers/checkpoints.js';
import { temporaryFolder } from '../helpers/temporary.js';

const folder = temporaryFolder();

let written = 0;
function write(bytes: Uint8Array): string {
  const path = join(folder, `${written++}.safetensors`);
  writeFileSync(path, bytes);
  return path;
}

function refusal(bytes: Uint8Array): string {
  try {
    readSafetensors(write(bytes));
  } catch (error) {
    if (error instanceof InputError) return error.message;
    throw error;
  }
  return 'accepted';
}

/** A tensor of 16-bit patterns. */
const halves = (dtype: 'F16' | 'BF16', patterns: readonly number[]): TensorSource => ({
  dtype,
  shape: [patterns.length],
  bytes: new Uint8Array(Uint16Array.from(patterns).buffer),
});

function values(bytes: Uint8Array, name: string): number[] {
  const file = readSafetensors(write(bytes));
  const tensor = file.tensors.get(name);
  if (tensor === undefined) throw new Error(`no tensor ${name}`);
  return [...readTensor(file, tensor)];
}

describe('readTensor', () => {
  test('widens bfloat16 exactly', () => {
    expect(values(safetensorsBytes({ a: halves('BF16', [0x3f80, 0xc000, 0x0001, 0x7f80, 0x8000]) }), 'a')).toEqual([
      1,
      -2,
      2 ** -133,
      Infinity,
      -0,
    ]);
  });

  test('widens float16 exactly, subnormal numbers and infinities too', () => {
    expect(values(safetensorsBytes({ a: halves('F16', [0x3c00, 0xc000, 0x0001, 0x83ff, 0x7bff, 0xfc00, 0x3555]) }), 'a')).toEqual([
      1,
      -2,
      2 ** -24,
      -1023 * 2 ** -24,
      65504,
      -Infinity,
      1365 / 4096,
    ]);
  });

  test('reads float32 that starts at an odd byte', () => {
    const bytes = safetensorsBytes({ odd: { dtype: 'U8', shape: [3], bytes: new Uint8Array(3) }, a: float32Tensor([2], (i) => i + 0.5) });
    expect(values(bytes, 'a')).toEqual([0.5, 1.5]);
  });

  test('reads 32-bit integers as they are', () => {
    const bytes = new Uint8Array(Int32Array.from([7, -1]).buffer);
    expect(values(safetensorsBytes({ ids: { dtype: 'I32', shape: [2], bytes } }), 'ids')).toEqual([7, -1]);
  });
});

describe('streamWeights', () => {
  test('gives wanted tensors whole, every byte once and in order, also when a tensor spans several pieces', async () => {
    const large = float32Tensor([1100, 1024], (i) => i % 8191);
    const bytes = safetensorsBytes(
      { first: halves('F16', [0x3c00, 0x4000, 0x4200]), large, last: float32Tensor([1], () => 5) },
      { a: 'b' },
    );
    const hash = createHash('sha256');
    const seen = new Map<string, Float32Array>();
    await streamWeights(readSafetensors(write(bytes)), {
      wants: (name) => name !== 'last',
      allocate: (length) => new Float32Array(length),
      onBytes: (piece) => hash.update(piece),
      onTensor: (tensor, tensorValues) => seen.set(tensor.name, tensorValues),
      check: () => undefined,
    });
    expect(hash.digest('hex')).toBe(createHash('sha256').update(bytes).digest('hex'));
    expect([...seen.keys()]).toEqual(['first', 'large']);
    expect([...(seen.get('first') ?? [])]).toEqual([1, 2, 3]);
    expect(seen.get('large')?.every((value, i) => value === i % 8191)).toBe(true);
  });
});

const one = float32Tensor([2, 2], () => 1);
const entry = (changes: Readonly<Record<string, unknown>>): string =>
  JSON.stringify({ w: { dtype: 'F32', shape: [2, 2], data_offsets: [0, 16], ...changes } });

describe('readSafetensors', () => {
  test('keeps names, shapes and metadata', () => {
    const file = readSafetensors(write(safetensorsBytes({ w: one }, { sink: '4' })));
    expect(file.metadata).toEqual({ sink: '4' });
    expect(at([...file.tensors.values()], 0)).toMatchObject({ name: 'w', dtype: 'F32', shape: [2, 2], bytes: 16 });
  });

  test.each([
    ['an empty file', new Uint8Array(0), /the file is empty/],
    ['five bytes', new Uint8Array(5), /only 5 bytes/],
    ['an empty header', fromHeader(''), /the header is empty/],
    ['a header longer than the file', fromHeader('{}', [], 1_000_000n), /header length 1000000 exceeds the file/],
    ['a header length of 2^64 - 1', fromHeader('{}', [], 2n ** 64n - 1n), /header length 18446744073709551615 exceeds the file/],
    ['a header that is no JSON', fromHeader('{"w": nope}'), /is not valid JSON/],
    ['a header that is a list', fromHeader('[]'), /must be a JSON object, got an array/],
    ['a header that is not UTF-8', fromHeader('{"w'.concat('\u00ff"}')).map((byte) => (byte === 0xc3 ? 0xff : byte)), /not valid UTF-8/],
    ['a tensor without dtype', fromHeader(entry({ dtype: undefined }), [one]), /tensor w: no dtype field/],
    ['an unknown dtype', fromHeader(entry({ dtype: 'Q9' }), [one]), /tensor w: unknown dtype "Q9"/],
    ['a negative size', fromHeader(entry({ shape: [-2, 2] }), [one]), /shape \[-2,2\] must hold non-negative integers/],
    ['a shape beyond any memory', fromHeader(entry({ shape: [2 ** 32, 2 ** 32] }), [one]), /needs .* bytes but its offsets span 16/],
    ['negative offsets', fromHeader(entry({ data_offsets: [-16, 0] }), [one]), /must be two non-negative integers/],
    ['fractional offsets', fromHeader(entry({ data_offsets: [0.5, 16.5] }), [one]), /must be two non-negative integers/],
    ['reversed offsets', fromHeader(entry({ data_offsets: [16, 0] }), [one]), /begin is after end/],
    ['offsets that do not fit the shape', fromHeader(entry({ data_offsets: [0, 12] }), [one]), /needs 16 bytes but its offsets span 12/],
    ['a file that is cut short', safetensorsBytes({ w: one }).slice(0, -4), /cut short: tensor w ends at byte 16/],
    ['bytes after the last tensor', fromHeader(entry({}), [one, one]), /16 bytes more than the header accounts for/],
    ['a hole', fromHeader(entry({ data_offsets: [16, 32] }), [one, one]), /16 bytes between the header and tensor w belong to none/],
    [
      'overlapping tensors',
      fromHeader(
        JSON.stringify({
          a: { dtype: 'F32', shape: [2, 2], data_offsets: [0, 16] },
          b: { dtype: 'F32', shape: [2, 2], data_offsets: [8, 24] },
        }),
        [one, one],
      ),
      /tensor b and tensor a overlap/,
    ],
  ])('refuses %s', (_title, bytes, message) => {
    expect(refusal(bytes)).toMatch(message);
  });
});
