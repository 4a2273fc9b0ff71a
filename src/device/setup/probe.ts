/** Opens a device in a child process, so that a library that crashes while loading takes no one with it. */
import { fork } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { z } from 'zod';
import type { Environment } from './tools.js';
import { interrupted } from './tools.js';

const factsSchema = z.object({
  description: z.string(),
  kernels: z.enum(['fused', 'plain']),
  /** Version of libtensorflow; absent on wasm. */
  tensorflow: z.string().optional(),
  warnings: z.array(z.string()),
  loadMs: z.number(),
  selfTest: z.object({ matmul: z.number(), causalAttention: z.number(), streamingAttention: z.number(), passed: z.boolean() }),
});
export type ProbeFacts = z.output<typeof factsSchema>;

const replySchema = z.union([z.object({ facts: factsSchema }), z.object({ failure: z.string() })]);
export type ProbeReply = z.output<typeof replySchema>;

/** What a child is asked: a device by name, or TensorFlow at a site that has no stamp yet. */
export interface ProbeQuestion {
  readonly device: 'tensorflow' | 'wasm';
  readonly files?: { readonly packageDir: string; readonly operations?: string | undefined };
  readonly threads?: number | undefined;
}

/** A load takes about a second; a disk that just unpacked 850 MB may need many. */
const TIMEOUT_MS = 120_000;

/** The device's facts, or why it could not be opened. */
export function probeDevice(question: ProbeQuestion, environment: Environment, signal?: AbortSignal): Promise<ProbeReply> {
  return new Promise((resolve, reject) => {
    const path = fileURLToPath(new URL('probe-child.js', import.meta.url));
    const child = fork(path, [JSON.stringify(question)], {
      env: { ...environment },
      execArgv: [],
      stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
      timeout: TIMEOUT_MS,
      ...(signal === undefined ? {} : { signal }),
    });
    let stderr = '';
    let reply: ProbeReply | undefined;
    child.stderr?.setEncoding('utf8').on('data', (text: string) => (stderr = (stderr + text).slice(-4_000)));
    child.on('message', (message) => (reply = replySchema.parse(message)));
    child.on('error', (error) => (error.name === 'AbortError' ? reject(interrupted()) : resolve({ failure: error.message })));
    child.on('close', (code, killed) => resolve(reply ?? { failure: lastLine(stderr) ?? `the process ended with ${killed ?? code}` }));
  });
}

function lastLine(text: string): string | undefined {
  return text
    .split('\n')
    .filter((line) => line.trim() !== '')
    .at(-1);
}
