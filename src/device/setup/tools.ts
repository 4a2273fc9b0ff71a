/** Other programs that set-up calls: python, pip, npm and a C++ compiler. */
import { spawn } from 'node:child_process';
import { accessSync, constants, existsSync } from 'node:fs';
import { delimiter, dirname, join } from 'node:path';
import { InterruptedError } from '../../errors.js';

export type Environment = Readonly<Record<string, string | undefined>>;

export interface ToolCall {
  readonly command: string;
  readonly args: readonly string[];
  readonly environment: Environment;
  readonly cwd?: string;
  readonly input?: string;
  readonly signal?: AbortSignal | undefined;
}

export interface ToolResult {
  /** Exit status; 127 when the program does not exist, as shells have it. */
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Output kept of one call, characters: a compiler's complaints are long, their end says enough. */
const MAX_OUTPUT = 1 << 20;

/** Runs a program to its end. A missing program and a failure are results; an abort throws InterruptedError. */
export function runTool(call: ToolCall): Promise<ToolResult> {
  return new Promise((resolve, reject) => {
    const output = { stdout: '', stderr: '' };
    const child = spawn(call.command, call.args, {
      cwd: call.cwd,
      env: { ...call.environment },
      stdio: ['pipe', 'pipe', 'pipe'],
      ...(call.signal === undefined ? {} : { signal: call.signal }),
    });
    for (const name of ['stdout', 'stderr'] as const) {
      child[name].setEncoding('utf8');
      child[name].on('data', (text: string) => (output[name] = (output[name] + text).slice(-MAX_OUTPUT)));
    }
    child.on('error', (error: NodeJS.ErrnoException) => {
      if (error.name === 'AbortError') reject(interrupted());
      else resolve({ code: 127, stdout: '', stderr: error.message });
    });
    // Ctrl-C reaches the child as well: its failure is then no news.
    child.on('close', (code) => (call.signal?.aborted ? reject(interrupted()) : resolve({ code: code ?? 1, ...output })));
    // A program that ends without reading its input closes the pipe; its exit status tells the rest.
    child.stdin.on('error', () => undefined);
    child.stdin.end(call.input ?? '');
  });
}

export function interrupted(): InterruptedError {
  return new InterruptedError({
    code: 'setup_interrupted',
    what: 'the set-up was interrupted',
    hint: 'run it again; finished steps are kept',
  });
}

/** Full path of a program on PATH, or undefined. */
export function which(name: string, environment: Environment): string | undefined {
  const folders = name.includes('/') ? [''] : (environment['PATH'] ?? '').split(delimiter);
  return folders.map((folder) => (folder === '' ? name : join(folder, name))).find(isExecutable);
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

/** The Python that PATH has, or undefined. */
export function findPython(environment: Environment): string | undefined {
  return which('python3', environment) ?? which('python', environment);
}

/** The C++ compiler: CXX, else g++, clang++ or c++; undefined when there is none. */
export function findCompiler(environment: Environment): string | undefined {
  const named = environment['CXX'];
  if (named) return which(named, environment);
  return ['g++', 'clang++', 'c++'].map((name) => which(name, environment)).find((path) => path !== undefined);
}

/** How to call npm: the one that runs this script, the one on PATH, or the one beside node. */
export function findNpm(environment: Environment): readonly string[] | undefined {
  const running = environment['npm_execpath'];
  if (running?.endsWith('npm-cli.js') && existsSync(running)) return [process.execPath, running];
  const found = which('npm', environment) ?? which(join(dirname(process.execPath), 'npm'), environment);
  return found === undefined ? undefined : [found];
}

/** The line of a program's output that says what went wrong: the last one marked as an error, else the last one. */
export function errorLine(result: ToolResult): string {
  const output = `${result.stdout}\n${result.stderr}`.split('\n');
  const lines = output.filter((line) => line.trim() !== '' && !line.includes('A complete log of this run'));
  return (lines.findLast((line) => /\berror\b/i.test(line)) ?? lines.at(-1) ?? `exit status ${result.code}`).trim().slice(0, 300);
}
