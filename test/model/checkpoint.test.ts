import { existsSync, readFileSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import { InputError } from '../../src/errors.js';
import type { Warning } from '../../src/errors.js';
import { openCheckpoint } from '../../src/model/checkpoint.js';
import { readModelInfo } from '../../src/model/load.js';
import { float32Tensor, safetensorsBytes, tinyTensors, TINY_CONFIG, writeFolder } from '../helpers/checkpoints.js';
import type { TensorSource } from '../helpers/checkpoints.js';
import { describeShared, DUO_MINI, SHARED } from '../helpers/paths.js';
import { temporaryFolder } from '../helpers/temporary.js';

const root = temporaryFolder();

let written = 0;
const folder = (files: Readonly<Record<string, Uint8Array | string | object>>): string => writeFolder(join(root, `m${written++}`), files);
const whole = (tensors: Readonly<Record<string, TensorSource>>) =>
  folder({ 'config.json': TINY_CONFIG, 'model.safetensors': safetensorsBytes(tensors) });

function refusal(path: string): string {
  try {
    openCheckpoint(path, () => undefined);
  } catch (error) {
    if (error instanceof InputError) return error.message;
    throw error;
  }
  return 'accepted';
}

function warningsOf(path: string): Warning[] {
  const warnings: Warning[] = [];
  openCheckpoint(path, (warning) => warnings.push(warning));
  return warnings;
}

const QUERY = 'model.layers.1.self_attn.q_proj.weight';

describe('openCheckpoint', () => {
  test('finds every tensor of a whole file', () => {
    const opened = openCheckpoint(whole(tinyTensors()), () => undefined);
    expect(opened.tensors).toHaveLength(2 + 2 * 9);
    expect(opened.files).toHaveLength(1);
  });

  test('finds every tensor of shards, in the order of the files', () => {
    const entries = Object.entries(tinyTensors());
    const [first, second] = [entries.slice(0, 7), entries.slice(7)];
    const path = folder({
      'config.json': TINY_CONFIG,
      'b.safetensors': safetensorsBytes(Object.fromEntries(first)),
      'a.safetensors': safetensorsBytes(Object.fromEntries(second)),
      'model.safetensors.index.json': {
        weight_map: Object.fromEntries([
          ...first.map(([name]) => [name, 'b.safetensors']),
          ...second.map(([name]) => [name, 'a.safetensors']),
        ]),
      },
    });
    expect(openCheckpoint(path, () => undefined).tensors.map((tensor) => tensor.name)).toEqual([...second, ...first].map(([name]) => name));
  });

  test('takes the end tokens of generation_config.json before those of config.json', () => {
    const files = { 'config.json': { ...TINY_CONFIG, eos_token_id: 3 }, 'model.safetensors': safetensorsBytes(tinyTensors()) };
    expect(openCheckpoint(folder({ ...files, 'generation_config.json': { eos_token_id: [1, 2] } }), () => undefined).endTokens).toEqual([
      1, 2,
    ]);
    expect(openCheckpoint(folder({ ...files, 'generation_config.json': {} }), () => undefined).endTokens).toEqual([3]);
    expect(openCheckpoint(folder(files), () => undefined).endTokens).toEqual([3]);
    expect(openCheckpoint(whole(tinyTensors()), () => undefined).endTokens).toEqual([]);
  });

  test('ignores what old checkpoints carry, and the output projection of a tied model', () => {
    const path = whole({
      ...tinyTensors(),
      'model.layers.0.self_attn.rotary_emb.inv_freq': float32Tensor([2], () => 1),
      'lm_head.weight': float32Tensor([16, 8], () => 1),
    });
    expect(warningsOf(path)).toEqual([]);
  });

  test('warns of tensors outside the layers that nothing uses', () => {
    expect(warningsOf(whole({ ...tinyTensors(), 'score.weight': float32Tensor([2], () => 1) })).map(({ code }) => code)).toEqual([
      'tensors_unused',
    ]);
  });

  test('warns of an end token that cannot occur', () => {
    const path = folder({ 'config.json': { ...TINY_CONFIG, eos_token_id: 16 }, 'model.safetensors': safetensorsBytes(tinyTensors()) });
    expect(warningsOf(path).map(({ code }) => code)).toEqual(['end_token_range']);
  });

  test('refuses a part of a layer that it would have to leave out', () => {
    const path = whole({ ...tinyTensors(), 'model.layers.1.self_attn.q_proj.bias': float32Tensor([16], () => 1) });
    expect(refusal(path)).toMatch(/^unexpected tensor model\.layers\.1\.self_attn\.q_proj\.bias/);
  });

  test('refuses a missing tensor and a wrong shape by name', () => {
    const { [QUERY]: _left, ...others } = tinyTensors();
    expect(refusal(whole(others))).toBe(`missing tensor ${QUERY}`);
    expect(refusal(whole({ ...others, [QUERY]: float32Tensor([8, 16], () => 1) }))).toBe(
      `tensor ${QUERY}: shape [8, 16] does not fit the config`,
    );
    const integers = { dtype: 'I32', shape: [16, 8], bytes: new Uint8Array(512) };
    expect(refusal(whole({ ...others, [QUERY]: integers }))).toBe(`tensor ${QUERY}: dtype I32 is not supported`);
  });

  test('refuses a path that is no model directory', () => {
    expect(refusal(join(root, 'nothing'))).toBe('there is no such model directory');
    expect(refusal(join(DUO_MINI, 'config.json'))).toBe('the model path is not a directory');
    expect(refusal(folder({ 'config.json': TINY_CONFIG }))).toMatch(/^no model\.safetensors/);
    expect(refusal(folder({ 'config.json': TINY_CONFIG, 'pytorch_model.bin': '' }))).toMatch(/pickle checkpoints are not supported/);
  });

  test.each(['../secret.safetensors', '/secret.safetensors', '..\\secret.safetensors', '..'])('refuses the shard name %s', (name) => {
    const path = folder({ 'config.json': TINY_CONFIG, 'model.safetensors.index.json': { weight_map: { [QUERY]: name } } });
    expect(refusal(path)).toMatch(/leaves the model folder$/);
  });

  test('follows a link inside the folder and refuses one that leaves it', () => {
    const inside = folder({ 'config.json': TINY_CONFIG, 'weights.bin': safetensorsBytes(tinyTensors()) });
    symlinkSync('weights.bin', join(inside, 'model.safetensors'));
    expect(refusal(inside)).toBe('accepted');
    const outside = folder({ 'config.json': TINY_CONFIG });
    symlinkSync(join(inside, 'weights.bin'), join(outside, 'model.safetensors'));
    expect(refusal(outside)).toBe('model.safetensors is a link that leaves the model folder');
  });

  test("follows a hub cache's links into its blobs", () => {
    writeFolder(join(root, 'models--a--b', 'blobs'), { abc: safetensorsBytes(tinyTensors()) });
    const snapshot = writeFolder(join(root, 'models--a--b', 'snapshots', 'main'), { 'config.json': TINY_CONFIG });
    symlinkSync('../../blobs/abc', join(snapshot, 'model.safetensors'));
    expect(refusal(snapshot)).toBe('accepted');
  });
});

describe('readModelInfo', () => {
  test('knows the embedded model from its headers', () => {
    const info = readModelInfo(DUO_MINI);
    expect(info).toMatchObject({ id: 'duo-mini', parameters: 3_475_712, weightBytes: 4 * 3_475_712, endTokens: [1], hasTokenizer: true });
    expect(info.largestTensorBytes).toBe(4 * 256 * 1280);
    expect(info.config).toMatchObject({ layers: 4, headDim: 64, kvHeads: 4, ropeTheta: 1e7, tied: true });
  });
});

describeShared('the malformed checkpoints', () => {
  const base = join(SHARED, 'golden', 'malformed');
  const file = join(base, 'EXPECTED.json');
  const rows = z.array(z.object({ path: z.string(), expect: z.enum(['ok', 'error', 'ok-or-error']), error: z.string() }));
  // Weights that are not finite are found when the values are read, not when the file is opened.
  const later = ['checkpoint/nan-weights', 'checkpoint/inf-weights'];
  const cases = existsSync(file)
    ? rows.parse(JSON.parse(readFileSync(file, 'utf8'))).filter(({ path }) => path.startsWith('checkpoint/') && !later.includes(path))
    : [];

  test.each(cases)('$path: $error', ({ path, expect: expected }) => {
    const open = (): unknown => {
      const opened = openCheckpoint(join(base, path), () => undefined);
      return opened.readTokenizer();
    };
    // Where either would do, this loader refuses.
    if (expected === 'ok') expect(open).not.toThrow();
    else expect(open).toThrow(InputError);
  });
});
