/** The fuzzer itself, on a few thousand inputs; `npm run fuzz` runs as many as one likes. */
import { spawnSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { PACKAGE_ROOT } from '../../src/version.js';
import { temporaryFolder } from '../helpers/temporary.js';

const FUZZ = join(PACKAGE_ROOT, 'dist', 'scripts', 'fuzz.js');
const INPUTS = 5000;

const root = temporaryFolder();

function fuzz(...words: readonly string[]): { readonly status: number | null; readonly stdout: string } {
  const { status, stdout } = spawnSync(process.execPath, [FUZZ, ...words], { encoding: 'utf8' });
  return { status, stdout };
}

test(`of ${INPUTS} broken inputs, each is read or refused`, () => {
  const { status, stdout } = fuzz('--inputs', String(INPUTS), '--seed', '1');
  expect(stdout).toContain(`${INPUTS} of ${INPUTS} inputs`);
  expect({ status, findings: stdout.includes('FINDING') ? stdout : '' }).toEqual({ status: 0, findings: '' });
}, 300_000);

test.each(['safetensors', 'gguf', 'tokenizer', 'checkpoint', 'pattern', 'yaml', 'run-directory'])(
  'seed and number make the same %s input again',
  (kind) => {
    const contents = ['first', 'second'].map((name) => {
      const folder = join(root, `${kind}-${name}`);
      fuzz('--kind', kind, '--seed', '7', '--case', '12', '--keep', folder);
      return readdirSync(folder).map((file) => [file, readFileSync(join(folder, file), 'base64')]);
    });
    expect(contents[0]?.length).toBeGreaterThan(0);
    expect(contents[1]).toEqual(contents[0]);
  },
);

test('an unknown kind is said', () => {
  expect(fuzz('--kind', 'nothing').status).not.toBe(0);
});
