import { join } from 'node:path';
import { z } from 'zod';
import { run } from '../../src/cli/program.js';
import type { ExitCode } from '../../src/errors.js';
import { copyDump, movedBy, nothing, whole } from '../helpers/golden.js';
import { GOLDEN } from '../helpers/paths.js';
import { temporaryFolder } from '../helpers/temporary.js';

const scratch = temporaryFolder();
const folder = join(GOLDEN, 'llama-linear-rope');
const golden = join(folder, 'golden.safetensors');

/** Runs `duo verify` on wasm, which every machine has. */
async function duoVerify(...words: string[]): Promise<{ code: ExitCode; stdout: string; stderr: string }> {
  let [stdout, stderr] = ['', ''];
  const terminal = {
    stdout: { write: (text: string) => (stdout += text) },
    stderr: { write: (text: string) => (stderr += text) },
    environment: {},
    signal: new AbortController().signal,
  };
  const code = await run(['verify', '--device', 'wasm', '--progress', 'none', ...words], terminal);
  return { code, stdout, stderr };
}

describe('duo verify', () => {
  test('prints one row per tensor and exits 0 when all agree', async () => {
    const { code, stdout } = await duoVerify('--model', folder, '--golden', golden);
    expect(code).toBe(0);
    expect(stdout).toMatch(/^llama-linear-rope on WebAssembly/);
    expect(stdout).toMatch(/^logits +20,960 .* 1\.0e-4 +absolute +ok$/m);
    expect(stdout).toMatch(/all 13 tensors agree\n$/);
  });

  test('exits 3 on a difference, and says which element it is', async () => {
    const wrong = copyDump(golden, join(scratch, 'wrong.safetensors'), (name) => (name === 'logits' ? movedBy(1) : whole));
    const { code, stdout } = await duoVerify('--model', folder, '--golden', wrong);
    expect(code).toBe(3);
    expect(stdout).toMatch(/^logits .* DIFFERS$/m);
    expect(stdout).toMatch(/1 of 13 tensors differ: logits\[0, \d+, \d+\] is -?\d/);
  });

  test('gives the same as data', async () => {
    const part = copyDump(golden, join(scratch, 'part.safetensors'), (name) =>
      name === 'input_ids' || name === 'final_hidden' ? whole : nothing,
    );
    const { code, stdout } = await duoVerify('--format', 'json', '--model', folder, '--golden', part, '--tolerance', '1e-12');
    expect(code).toBe(3);
    const result = z.object({ schema: z.literal('duo-verify/1'), result: z.unknown() }).parse(JSON.parse(stdout)).result;
    expect(result).toMatchObject({
      model: 'llama-linear-rope',
      kinds: ['forward'],
      tolerance: 1e-12,
      passed: false,
      notCompared: [],
      comparisons: [{ tensor: 'final_hidden', elements: 7680, measure: 'absolute', limit: 1e-12, passed: false }],
    });
  });

  test.each([
    [
      'nothing in the dump is known',
      ['--model', folder, '--golden', join(folder, 'model.safetensors')],
      /nothing in the dump can be compared/,
    ],
    ['there is no dump', ['--model', folder, '--golden', join(folder, 'none.safetensors')], /there is no such reference dump/],
    ['no dump was given', ['--model', folder], /no reference dump was given/],
    ['there is no model', ['--model', join(scratch, 'none'), '--golden', golden], /there is no such model directory/],
    ['the dump is of another model', ['--model', join(GOLDEN, 'llama-mqa'), '--golden', golden], /it is of another model/],
  ])('exits 2 when %s', async (_title, words, message) => {
    const { code, stdout, stderr } = await duoVerify(...words);
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
    expect(stderr).toMatch(message);
  });
});
