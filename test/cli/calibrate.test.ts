/** The real program, really killed: what it writes must not depend on how often it was stopped. */
import { spawn } from 'node:child_process';
import { mkdirSync, readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { PACKAGE_ROOT } from '../../src/version.js';
import { temporaryFolder } from '../helpers/temporary.js';

const folder = temporaryFolder();
const DUO = join(PACKAGE_ROOT, 'dist', 'bin', 'duo.js');
const SMALL = '--steps 10 --max-tokens 256 --passkeys 2 --passkey-words 4 --validate-every 4 --save-every 2 --early-stop 0 --progress none';

interface Ended {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs `duo calibrate` in `cwd`; sends `signal` once the run has `rows` rows. */
function calibrate(cwd: string, extra: string, stop?: { readonly signal: NodeJS.Signals; readonly rows: number }): Promise<Ended> {
  const child = spawn(process.execPath, [DUO, 'calibrate', ...SMALL.split(' '), ...extra.split(' ')], { cwd });
  const output = { stdout: '', stderr: '' };
  child.stdout.on('data', (chunk: Buffer) => (output.stdout += chunk.toString()));
  child.stderr.on('data', (chunk: Buffer) => (output.stderr += chunk.toString()));
  const watch = setInterval(() => {
    // Once: a second Ctrl-C ends the program at once.
    if (stop !== undefined && !child.killed && rowCount(cwd) >= stop.rows) child.kill(stop.signal);
  }, 20);
  return new Promise((resolve) =>
    child.on('close', (code) => {
      clearInterval(watch);
      resolve({ code, ...output });
    }),
  );
}

function rowCount(cwd: string): number {
  try {
    const runs = join(cwd, 'runs', 'calibrate');
    const [run = ''] = readdirSync(runs);
    return readFileSync(join(runs, run, 'results.jsonl'), 'utf8').split('\n').length - 1;
  } catch {
    return 0;
  }
}

describe('duo calibrate', () => {
  test('killed at three moments, goes on to the same bytes as a run that was left alone', async () => {
    const [killed, alone] = [temporaryIn('killed'), temporaryIn('alone')];
    for (const rows of [1, 5, 9]) {
      const ended = await calibrate(killed, '--output pattern', { signal: 'SIGKILL', rows });
      expect(ended.code).toBeNull();
    }
    expect(await calibrate(killed, '--output pattern')).toMatchObject({ code: 0 });
    expect(await calibrate(alone, '--output pattern')).toMatchObject({ code: 0 });
    for (const file of ['pattern.json', 'full_attention_heads.tsv']) {
      expect(readFileSync(join(killed, 'pattern', file), 'utf8')).toBe(readFileSync(join(alone, 'pattern', file), 'utf8'));
    }
    expect(readdirSync(join(killed, 'runs', 'calibrate'))).toHaveLength(1);
    expect(rowCount(killed)).toBe(rowCount(alone));
  }, 180_000);

  test('stopped by Ctrl-C, keeps what it has, says how to go on and exits with 130', async () => {
    const cwd = temporaryIn('interrupted');
    const ended = await calibrate(cwd, '--output pattern', { signal: 'SIGINT', rows: 2 });
    expect(ended.code).toBe(130);
    expect(ended.stderr).toContain('run the same command again');
    expect(rowCount(cwd)).toBeGreaterThanOrEqual(2);
  }, 60_000);

  test.each([
    ['--preset huge', 'expected one of quick, paper'],
    ['--steps 0', '--steps: "0" given'],
    ['--tasks nothing:1', 'nothing'],
    ['--min-tokens 900', 'longer than the longest'],
    ['--model no-such-model', 'no-such-model'],
    ['--haystack no-such-file.txt', 'no-such-file.txt'],
  ])('refuses %s with one clear error and exit 2', async (extra, message) => {
    const ended = await calibrate(temporaryIn('refused'), extra);
    expect(ended).toMatchObject({ code: 2, stdout: '' });
    expect(ended.stderr).toContain(message);
    expect(ended.stderr.match(/^error:/gm)).toHaveLength(1);
  });

  test('prints every setting, with where it comes from', async () => {
    const { code, stdout } = await calibrate(temporaryIn('settings'), '--print-config --reference');
    expect(code).toBe(0);
    expect(stdout).toMatch(/^steps: 10 {2}# flag$/m);
    expect(stdout).toMatch(/^windowBlock: 128 {2}# preset$/m);
    expect(stdout).toMatch(/^fullBranch: teacher {2}# preset$/m);
  });
});

let count = 0;
function temporaryIn(name: string): string {
  const path = join(folder, `${name}-${(count += 1)}`);
  mkdirSync(path);
  return path;
}
