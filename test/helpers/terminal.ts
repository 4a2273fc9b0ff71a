/** The program run as a command line, in this process, with what it printed. */
import { run } from '../../src/cli/program.js';
import type { ExitCode } from '../../src/errors.js';

export interface Ran {
  readonly exitCode: ExitCode;
  readonly stdout: string;
  readonly stderr: string;
}

export interface DuoOptions {
  /** What Ctrl-C aborts. */
  readonly signal?: AbortSignal;
  /** Sees what is written to stdout, as it is. */
  readonly onStdout?: (text: string) => void;
}

/** Runs `duo` with these words; neither stream is a terminal. */
export async function duo(words: readonly string[], options: DuoOptions = {}): Promise<Ran> {
  let [stdout, stderr] = ['', ''];
  const exitCode = await run(words, {
    stdout: {
      write: (text) => {
        stdout += text;
        options.onStdout?.(text);
      },
    },
    stderr: { write: (text) => (stderr += text) },
    environment: { ...process.env, NO_COLOR: '1' },
    signal: options.signal ?? new AbortController().signal,
  });
  return { exitCode, stdout, stderr };
}

/** The result inside the envelope that `--format json` prints. */
export function resultOf(ran: Ran): Record<string, unknown> {
  return (JSON.parse(ran.stdout) as { result: Record<string, unknown> }).result;
}
