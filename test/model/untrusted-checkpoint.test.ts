/** Weights that contradict themselves, or whose names mean something to JavaScript: refused, or read exactly. */
import { truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Device } from '../../src/device/device.js';
import { at, InputError, MemoryError } from '../../src/errors.js';
import { openCheckpoint } from '../../src/model/checkpoint.js';
import { FAMILIES } from '../../src/model/families.js';
import { loadModel } from '../../src/model/load.js';
import { plannedTensors } from '../../src/model/plan.js';
import { parseConfig } from '../../src/model/read-config.js';
import { readWholeModel } from '../../src/model/read-whole.js';
import { readSafetensors } from '../../src/model/safetensors.js';
import { readTensor } from '../../src/model/weight-file.js';
import { float32Tensor, fromHeader, safetensorsBytes, tinyTensors, TINY_CONFIG, writeFolder } from '../helpers/checkpoints.js';
import { temporaryFolder } from '../helpers/temporary.js';

const root = temporaryFolder();

let written = 0;
const fileOf = (bytes: Uint8Array): string => {
  const path = join(root, `${written++}.safetensors`);
  writeFileSync(path, bytes);
  return path;
};

function refusal(body: () => unknown): string {
  try {
    body();
  } catch (error) {
    if (error instanceof InputError) return error.message;
    throw error;
  }
  return 'accepted';
}

const four = float32Tensor([4], (i) => i);
const entry = (start: number, end: number, shape: readonly number[] = [4]): string =>
  JSON.stringify({ dtype: 'F32', shape, data_offsets: [start, end] });

describe('a safetensors header', () => {
  test.each([
    ['names a tensor twice', `{"a":${entry(0, 16)},"a":${entry(0, 16)}}`, 'has the key "a" twice'],
    ['names a tensor twice, once escaped', `{"a":${entry(0, 16)},"\\u0061":${entry(0, 16)}}`, 'has the key "\\u0061" twice'],
    ['gives a field twice', `{"a":{"dtype":"F32","dtype":"F16","shape":[4],"data_offsets":[0,16]}}`, 'has the key "dtype" twice'],
    ['gives two tensors the same bytes', `{"a":${entry(0, 16)},"b":${entry(0, 16)}}`, 'overlap'],
    ['has offsets above 2^53', `{"a":${entry(0, 2 ** 53 + 2)}}`, 'must be two non-negative integers'],
    ['has sizes above 2^53', `{"a":${entry(0, 16, [2 ** 53, 2])}}`, 'must hold non-negative integers'],
    ['has sizes whose product is above 2^53', `{"a":${entry(0, 16, [2 ** 52, 2 ** 52])}}`, 'but its offsets span 16'],
    ['has infinite sizes', '{"a":{"dtype":"F32","shape":[1e999],"data_offsets":[0,16]}}', 'must hold non-negative integers'],
    ['has an endless product of zero', `{"a":${entry(0, 0, [2 ** 40, 2 ** 40, 0])}}`, 'more than the header accounts for'],
    ['has a list for a tensor', '{"a":[]}', 'no dtype field'],
    ['is nested deeply', `{"a":${'['.repeat(1000)}${']'.repeat(1000)}}`, 'is nested too deeply'],
  ])('that %s is refused', (_title, header, message) => {
    expect(refusal(() => readSafetensors(fileOf(fromHeader(header, [four]))))).toContain(message);
  });

  test.each(['__proto__', 'constructor', 'toString', 'hasOwnProperty', ''])('may name a tensor %j', (name) => {
    const file = readSafetensors(fileOf(fromHeader(`{${JSON.stringify(name)}:${entry(0, 16)}}`, [four])));
    expect([...file.tensors.keys()]).toEqual([name]);
    expect(({} as Record<string, unknown>)['dtype']).toBeUndefined();
  });

  test('may put a tensor at an offset that is no multiple of its numbers', () => {
    const header = `{"byte":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"a":${entry(1, 17)}}`;
    const file = readSafetensors(fileOf(fromHeader(header, [{ dtype: 'U8', shape: [1], bytes: Uint8Array.of(7) }, four])));
    const tensor = [...file.tensors.values()].find(({ name }) => name === 'a');
    expect(tensor && [...readTensor(file, tensor)]).toEqual([0, 1, 2, 3]);
  });
});

describe('shards', () => {
  const [first, second] = [Object.entries(tinyTensors()).slice(0, 7), Object.entries(tinyTensors()).slice(7)];
  const shards = (extra: ReturnType<typeof tinyTensors>) =>
    writeFolder(join(root, `shards-${written++}`), {
      'config.json': TINY_CONFIG,
      'a.safetensors': safetensorsBytes(Object.fromEntries(first)),
      'b.safetensors': safetensorsBytes({ ...Object.fromEntries(second), ...extra }),
      'model.safetensors.index.json': {
        weight_map: Object.fromEntries([
          ...first.map(([name]) => [name, 'a.safetensors']),
          ...second.map(([name]) => [name, 'b.safetensors']),
        ]),
      },
    });

  test('that hold the same tensor are refused', () => {
    const [name, tensor] = first[0] ?? ['', four];
    const path = shards({ [name]: tensor });
    expect(refusal(() => openCheckpoint(path, () => undefined))).toBe(`tensor ${name} is in a.safetensors and in b.safetensors`);
  });

  test('that hold a part of a layer beside the index are not taken without it', () => {
    const path = shards({ 'model.layers.0.self_attn.q_proj.bias': four });
    expect(refusal(() => openCheckpoint(path, () => undefined))).toContain('unexpected tensor model.layers.0.self_attn.q_proj.bias');
  });
});

test('a file of four terabytes without data is refused for want of memory', async () => {
  const wide = 2 ** 20;
  const config = { ...TINY_CONFIG, hidden_size: wide, intermediate_size: 1, vocab_size: wide };
  const { config: parsed } = parseConfig(config, 'test');
  let end = 0;
  const entries = plannedTensors(at(FAMILIES, 0).tensors, parsed).map(({ name, shape }) => {
    const begin = end;
    end += 4 * shape.reduce((product, size) => product * size, 1);
    return [name, { dtype: 'F32', shape, data_offsets: [begin, end] }] as const;
  });
  const header = fromHeader(JSON.stringify(Object.fromEntries(entries)));
  const path = writeFolder(join(root, 'wide'), { 'config.json': config, 'model.safetensors': header });
  truncateSync(join(path, 'model.safetensors'), header.length + end);
  const device = { uploads: 'copied', free: () => undefined } as unknown as Device;
  await expect(loadModel(path, device)).rejects.toThrow(MemoryError);
});

test('a file that has become shorter is refused while it is read', async () => {
  const path = writeFolder(join(root, 'shorter'), { 'config.json': TINY_CONFIG, 'model.safetensors': safetensorsBytes(tinyTensors()) });
  const shorten = (): void => truncateSync(join(path, 'model.safetensors'), 2500);
  await expect(readWholeModel(path, { onProgress: shorten })).rejects.toThrow('model.safetensors ended while it was read');
});
