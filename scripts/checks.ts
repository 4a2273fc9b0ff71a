/** What the long-running scripts share: named checks with their time, and programs run to their end. */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

export interface Run {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

export interface RunOptions {
  readonly cwd?: string;
  readonly environment?: Readonly<Record<string, string>>;
}

/** The process's environment without what npm adds for its own scripts, which would steer the npm under test. */
const CLEAN = Object.fromEntries(Object.entries(process.env).filter(([name]) => !/^(npm_|NODE_OPTIONS$|INIT_CWD$|DUO_)/.test(name)));

export function run(command: string, args: readonly string[], options: RunOptions = {}): Run {
  const environment = { ...CLEAN, ...options.environment };
  const result = spawnSync(command, args, { cwd: options.cwd, env: environment, encoding: 'utf8', maxBuffer: 1 << 26 });
  if (result.error) throw result.error;
  return { code: result.status ?? 1, stdout: result.stdout, stderr: result.stderr };
}

/** Runs a program that must succeed, and returns its stdout. */
export function succeed(command: string, args: readonly string[], options: RunOptions = {}): string {
  const { code, stdout, stderr } = run(command, args, options);
  if (code !== 0) throw new Error(`${command} ${args.join(' ')} ended with ${code}\n${stdout.slice(-2_000)}\n${stderr.slice(-2_000)}`);
  return stdout;
}

let failures = 0;

/** Runs a check, prints its outcome and time, and goes on after a failure. */
export async function check(title: string, body: () => void | Promise<void>): Promise<void> {
  const startedMs = performance.now();
  let failure: unknown;
  try {
    await body();
  } catch (error) {
    failure = error;
    failures += 1;
  }
  const seconds = ((performance.now() - startedMs) / 1000).toFixed(1);
  console.log(`${failure === undefined ? 'ok  ' : 'FAIL'} ${title} (${seconds} s)`);
  if (failure !== undefined) console.log((failure as Error).message);
}

/** Sets the exit status by the checks so far. */
export function finish(): void {
  console.log(failures === 0 ? 'all passed' : `${failures} failed`);
  process.exitCode = failures === 0 ? 0 : 1;
}

/** Runs `body` with a temporary folder that is removed afterwards. */
export async function withFolder(body: (folder: string) => Promise<void>): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'duo-check-'));
  try {
    await body(folder);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Gates for the embedded model, made up: enough for a command to run with. */
const TINY_GATES = ['1.0\t0.0\t0.5\t0.25', '0.1\t0.2\t0.3\t0.4', '0.6\t0.7\t0.8\t0.9', '0.15\t0.35\t0.55\t0.75'];

/** Words of a command that loads the embedded model and generates a few tokens from a hybrid cache; writes its pattern to `folder`. */
export function tinyCommand(folder: string, device: string): string[] {
  const pattern = join(folder, 'tiny.tsv');
  writeFileSync(pattern, `${TINY_GATES.join('\n')}\n`);
  const settings = ['--sink', '16', '--recent', '64', '--retrieval-ratio', '0.5', '--device', device];
  return ['run', '--pattern', pattern, ...settings, '--prompt', 'The sun was', '--max-new-tokens', '8'];
}
