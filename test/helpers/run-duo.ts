/** Runs a command line in this process, as the terminal would see it. */
import { run } from '../../src/cli/program.js';

export interface Outcome {
  readonly exitCode: number;
  readonly stdout: string;
  readonly stderr: string;
}

export async function runDuo(...argv: readonly string[]): Promise<Outcome> {
  let [stdout, stderr] = ['', ''];
  const exitCode = await run(argv, {
    stdout: { write: (text: string) => (stdout += text) },
    stderr: { write: (text: string) => (stderr += text) },
    environment: {},
    signal: new AbortController().signal,
  });
  return { exitCode, stdout, stderr };
}
