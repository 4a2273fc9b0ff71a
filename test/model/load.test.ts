import { createHash } from 'node:crypto';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { measureLoad, writeCheckpoint } from '../../scripts/bench/load-memory.js';
import { at, InterruptedError } from '../../src/errors.js';
import { plannedTensors } from '../../src/model/plan.js';
import { freeModel, loadModel, readModelInfo } from '../../src/model/load.js';
import { readConfig } from '../../src/model/read-config.js';
import { readSafetensors } from '../../src/model/safetensors.js';
import { readTensor } from '../../src/model/weight-file.js';
import type { Progress } from '../../src/progress.js';
import { safetensorsBytes, tinyTensors, TINY_CONFIG, writeFolder } from '../helpers/checkpoints.js';
import { anyDevice, describeEachDevice } from '../helpers/each-device.js';
import { describeShared, DUO_MINI, GOLDEN, SHARED } from '../helpers/paths.js';
import { temporaryFolder } from '../helpers/temporary.js';

const root = temporaryFolder();
const sha256 = (...parts: readonly Uint8Array[]): string => createHash('sha256').update(Buffer.concat(parts)).digest('hex');

describeEachDevice((device) => {
  test('loads every weight of duo-mini as its file has it, ties the head, and frees all', async () => {
    const before = device.memory();
    const model = await loadModel(DUO_MINI, device);
    const file = readSafetensors(join(DUO_MINI, 'model.safetensors'));
    const stored = (name: string) => {
      const tensor = file.tensors.get(name);
      return tensor === undefined ? undefined : readTensor(file, tensor);
    };
    const third = at(model.weights.layers, 3);
    expect(device.download(model.weights.embedding)).toEqual(stored('model.embed_tokens.weight'));
    expect(device.download(third.q)).toEqual(stored('model.layers.3.self_attn.q_proj.weight'));
    expect(device.download(third.down)).toEqual(stored('model.layers.3.mlp.down_proj.weight'));
    expect(device.download(model.weights.finalNorm)).toEqual(stored('model.norm.weight'));
    expect(model.weights.head).toBe(model.weights.embedding);
    expect(model.weightBytes).toBe(device.memory().bytes - before.bytes);
    expect(model).toMatchObject({ id: 'duo-mini', endTokens: [1], weightBytes: readModelInfo(DUO_MINI).weightBytes });
    freeModel(model);
    expect(device.memory()).toMatchObject({ tensors: before.tensors, bytes: before.bytes });
  });

  test('stops when interrupted and leaves nothing on the device', async () => {
    const before = device.memory().tensors;
    const interrupt = new AbortController();
    const onProgress = ({ done, total }: Progress) => (done > total / 2 ? interrupt.abort() : undefined);
    await expect(loadModel(DUO_MINI, device, { onProgress, signal: interrupt.signal })).rejects.toThrow(InterruptedError);
    expect(device.memory().tensors).toBe(before);
  });

  // The peak is read from /proc; other systems have no such number.
  (existsSync('/proc/self/clear_refs') ? test : test.skip)('needs at most 1.3 times the weights while loading', () => {
    const folder = writeCheckpoint(join(root, device.name), 'BF16');
    const { weightBytes, peakShare } = measureLoad(folder, device.name);
    expect(weightBytes).toBe(readModelInfo(folder).weightBytes);
    expect(peakShare).toBeGreaterThan(0.9);
    expect(peakShare).toBeLessThanOrEqual(1.3);
  });
});

describe('loadModel', () => {
  test('hashes the weight file, and shards one after the other in the order of their names', async () => {
    const whole = await loadModel(DUO_MINI, anyDevice());
    expect(whole.hash).toBe(sha256(readFileSync(join(DUO_MINI, 'model.safetensors'))));
    const entries = Object.entries(tinyTensors());
    const parts = { 'b.safetensors': entries.slice(0, 5), 'a.safetensors': entries.slice(5) };
    const bytes = Object.fromEntries(Object.entries(parts).map(([name, part]) => [name, safetensorsBytes(Object.fromEntries(part))]));
    const map = Object.fromEntries(Object.entries(parts).flatMap(([name, part]) => part.map(([tensor]) => [tensor, name])));
    const folder = writeFolder(join(root, 'sharded'), {
      'config.json': TINY_CONFIG,
      'model.safetensors.index.json': { weight_map: map },
      ...bytes,
    });
    const sharded = await loadModel(folder, anyDevice());
    expect(sharded.hash).toBe(sha256(readFileSync(join(folder, 'a.safetensors')), readFileSync(join(folder, 'b.safetensors'))));
    freeModel(whole);
    freeModel(sharded);
  });

  test('reports its progress in bytes, up to the last', async () => {
    const seen: Progress[] = [];
    const folder = join(GOLDEN, 'llama-mqa');
    freeModel(await loadModel(folder, anyDevice(), { onProgress: (progress) => seen.push(progress) }));
    const done = seen.map((progress) => progress.done);
    expect(done).toEqual([...done].sort((a, b) => a - b));
    expect(seen.at(-1)).toMatchObject({ stage: 'loading weights', note: 'llama-mqa' });
    expect(seen.at(-1)?.done).toBe(seen.at(-1)?.total);
  });
});

describeShared('the two styles of config keys', () => {
  const base = join(SHARED, 'golden');
  const names = existsSync(base)
    ? readdirSync(base).filter((name) => /^llama/.test(name) && existsSync(join(base, name, 'config.alt.json')))
    : [];

  test.each(names)('%s: give the same model', (name) => {
    const other = writeFolder(join(root, name), { 'config.json': readFileSync(join(base, name, 'config.alt.json')) });
    const [read, alternative] = [readConfig(join(base, name)), readConfig(other)];
    expect(alternative.config).toEqual(read.config);
    expect(plannedTensors(read.family.tensors, alternative.config)).toEqual(plannedTensors(read.family.tensors, read.config));
  });
});
