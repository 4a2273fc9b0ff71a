/** Models of a hub through the real program: named, fetched, kept, and named in what is written. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { run } from '../../src/cli/program.js';
import { COMMIT, endScenes, NAME, scene } from '../helpers/hub-model.js';
import type { Scene } from '../helpers/hub-model.js';
import { DUO_MINI } from '../helpers/paths.js';
import { PACKAGE_ROOT } from '../../src/version.js';
import { shellWords } from '../helpers/shell-words.js';

const FILES = ['config.json', 'generation_config.json', 'tokenizer.json', 'tokenizer_config.json', 'model.safetensors'];
const MODEL = { files: Object.fromEntries(FILES.map((name) => [name, new Uint8Array(readFileSync(join(DUO_MINI, name)))])) };
const PATTERN = join(PACKAGE_ROOT, 'patterns', 'duo-mini');
const ID = `hf:owner/tiny@${COMMIT}`;

afterEach(endScenes);

interface Said {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

async function duo({ hub, home }: Scene, line: string, environment: Readonly<Record<string, string>> = {}): Promise<Said> {
  const said = { stdout: '', stderr: '' };
  const code = await run(shellWords(line), {
    stdout: { write: (text: string) => (said.stdout += text) },
    stderr: { write: (text: string) => (said.stderr += text) },
    // Without programs for doctor to ask for their versions.
    environment: { HOME: home, PATH: '/nowhere', HF_HOME: home, HF_ENDPOINT: hub.url, ...environment },
    signal: new AbortController().signal,
  });
  return { code, ...said };
}

describe('--model hf:owner/name', () => {
  test('duo doctor fetches it, says its commit, reads it whole and names it by its commit', async () => {
    const here = await scene(MODEL);
    const { code, stdout, stderr } = await duo(here, `doctor --device wasm --model ${NAME}`);
    expect(stderr).toBe(`hf:owner/tiny@main is commit ${COMMIT}\n`);
    expect(stdout).toContain(`${ID}: llama, 4 layers`);
    expect(code).toBe(0);
  });

  test('duo inspect fetches it; --offline and --print-config take it from the cache, and results have its name', async () => {
    const here = await scene(MODEL);
    const inspect = `inspect '${PATTERN}' --model ${NAME} --kv-budget 60% --format json`;
    expect(await duo(here, inspect)).toMatchObject({ code: 0 });
    here.hub.requests.length = 0;
    expect(await duo(here, `${inspect} --offline`)).toMatchObject({ code: 0 });
    expect(await duo(here, `calibrate --model ${NAME} --print-config`)).toMatchObject({ code: 0 });
    const prompted = `run --offline --device wasm --model ${NAME} --pattern '${PATTERN}' --prompt Once --max-new-tokens 1 --format json`;
    expect(JSON.parse((await duo(here, prompted)).stdout)).toMatchObject({ result: { model: ID } });
    expect(here.hub.requests).toEqual([]);
  });

  test.each([
    ['a hub out of reach', `doctor --model ${NAME}`, { HF_ENDPOINT: 'http://127.0.0.1:9', HF_TOKEN: 'hf_secret' }, 4, 'HF_HUB_OFFLINE=1'],
    ['an empty cache offline', `doctor --model ${NAME}`, { HF_HUB_OFFLINE: '1' }, 4, 'HF_HOME'],
    ['an empty cache with --offline', `run --model ${NAME} --offline --pattern '${PATTERN}' --prompt Once`, {}, 4, 'HF_HOME'],
    ['an empty cache, which --print-config leaves so', `calibrate --model ${NAME} --print-config`, {}, 4, 'HF_HOME'],
    ['a repository that is not there', 'doctor --model hf:owner/other', {}, 2, 'spelling'],
    ['a name without hf:', 'doctor --model owner/tiny', {}, 2, 'hf:owner/tiny'],
    ['half a name', 'doctor --model hf:owner', {}, 2, 'hf:owner/name'],
  ])('%s is one error that says what to try', async (_case, line, environment, code, hint) => {
    const here = await scene(MODEL);
    const said = await duo(here, line, environment);
    expect(said).toMatchObject({ code, stdout: '', stderr: expect.stringMatching(/^error: /) });
    expect(said.stderr).toContain(hint);
    expect(said.stderr).not.toMatch(/hf_secret|\n {4}at /);
  });
});
