import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { InputError, InterruptedError } from '../../src/errors.js';
import type { Warning } from '../../src/errors.js';
import { readWholeModel } from '../../src/model/read-whole.js';
import { float32Tensor, safetensorsBytes, TINY_CONFIG, tinyTensors } from '../helpers/checkpoints.js';
import { DUO_MINI } from '../helpers/paths.js';
import { temporaryFolder } from '../helpers/temporary.js';

const scratch = temporaryFolder();
let made = 0;

function modelWith(tensors: Parameters<typeof safetensorsBytes>[0], files: Readonly<Record<string, string>> = {}): string {
  const folder = join(scratch, String(made++));
  mkdirSync(folder);
  writeFileSync(join(folder, 'config.json'), JSON.stringify(TINY_CONFIG));
  writeFileSync(join(folder, 'model.safetensors'), safetensorsBytes(tensors));
  for (const [name, text] of Object.entries(files)) writeFileSync(join(folder, name), text);
  return folder;
}

/** A tokenizer of four letters. */
const LETTERS = JSON.stringify({ model: { type: 'BPE', vocab: { a: 0, b: 1, c: 2, d: 3 }, merges: [] } });

describe('readWholeModel', () => {
  test('describes a model and reads every byte of its weights', async () => {
    const seen: number[] = [];
    const model = await readWholeModel(DUO_MINI, { onProgress: ({ done, total }) => seen.push(done / total) });
    expect(model).toMatchObject({ id: 'duo-mini', hasTokenizer: true, hasChatTemplate: false, parameters: 3_475_712 });
    expect(model.storedTypes).toEqual([{ dtype: 'BF16', tensors: 38, bytes: 2 * 3_475_712 }]);
    expect(model.hash).toMatch(/^[0-9a-f]{64}$/);
    expect(seen.at(-1)).toBe(1);
  });

  test.each([Number.NaN, Number.POSITIVE_INFINITY])('refuses a model whose last weight is %d', async (value) => {
    const tensors = tinyTensors();
    const name = 'model.layers.1.mlp.down_proj.weight';
    const folder = modelWith({ ...tensors, [name]: float32Tensor([8, 12], (i) => (i === 95 ? value : 1)) });
    await expect(readWholeModel(folder)).rejects.toThrow(new RegExp(`tensor ${name} holds .* at row 7, column 11`));
  });

  test('warns of a tokenizer that loses words', async () => {
    const warnings: Warning[] = [];
    await readWholeModel(modelWith(tinyTensors(), { 'tokenizer.json': LETTERS }), { warn: (warning) => warnings.push(warning) });
    expect(warnings.map(({ code }) => code)).toEqual(['tokenizer_round_trip']);
  });

  test('refuses a chat template that cannot be rendered', async () => {
    const files = { 'tokenizer.json': LETTERS, 'tokenizer_config.json': JSON.stringify({ chat_template: '{{ messages | telepathy }}' }) };
    await expect(readWholeModel(modelWith(tinyTensors(), files))).rejects.toBeInstanceOf(InputError);
  });

  test('stops when it is told to', async () => {
    await expect(readWholeModel(DUO_MINI, { signal: AbortSignal.abort() })).rejects.toBeInstanceOf(InterruptedError);
  });
});
