/** Threads of bounded memory with a watchdog: a thread that hangs or dies is a finding, and another goes on after its input. */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { Worker } from 'node:worker_threads';
import { writeSecret } from './case.js';
import type { Case } from './case.js';
import { inputOf, PLACE_BYTES } from './worker.js';
import type { Report, Share } from './worker.js';

/** Heap of a thread, MB. */
const HEAP_MB = 256;
/**
 * Longest time for an input. A busy machine stops a thread for longer than that: the process must have computed as long for
 * each of its threads too, unless nothing happens for half a minute; and an input that took longer is tried again alone.
 */
const LIMIT_MS = 1000;
const STUCK_MS = 30_000;
const ATTEMPTS = 3;
const WATCH_MS = 100;

export interface PoolOptions {
  readonly seed: number;
  readonly kinds: readonly number[];
  readonly inputs: number;
  readonly threads: number;
  readonly folder: string;
  readonly onFinding: (input: Case, finding: string) => void;
  readonly onDone: (run: number, accepted: number) => void;
}

export async function runPool(options: PoolOptions): Promise<void> {
  await Promise.all(Array.from({ length: options.threads }, (_, thread) => runThread(options, thread)));
}

/** All inputs of one thread's share, in as many workers as it takes. */
async function runThread(options: PoolOptions, thread: number): Promise<void> {
  const folder = join(options.folder, String(thread));
  mkdirSync(folder, { recursive: true });
  writeSecret(folder);
  const share = { ...options, folder, step: options.threads };
  for (let first = thread; first < options.inputs;) {
    const end = await runWorker({ ...share, first }, options);
    if (end === undefined) return;
    const confirmed = await confirm({ ...share, first: end.number, inputs: end.number + 1 }, end.finding, options);
    if (confirmed) options.onFinding(inputOf(options, end.number), end.finding);
    first = end.number + options.threads;
  }
}

/** A hang is one only if it happens every time; whatever else ended a thread did. */
async function confirm(share: Omit<Share, 'place'>, finding: string, options: PoolOptions): Promise<boolean> {
  if (finding !== HANG) return true;
  for (let attempt = 1; attempt < ATTEMPTS; attempt++) if ((await runWorker(share, options)) === undefined) return false;
  return true;
}

const HANG = `took longer than ${LIMIT_MS} ms`;

interface End {
  readonly number: number;
  readonly finding: string;
}

/** Computing time of this process at moments that were looked at, ms; the oldest first. */
const moments: { readonly timeMs: number; readonly computedMs: number }[] = [];

/** Whether an input that began at this time has had its share of computing, or waits for what does not come. */
function hangs(beganMs: number, threads: number): boolean {
  const { user, system } = process.cpuUsage();
  const now = { timeMs: Date.now(), computedMs: (user + system) / 1000 };
  moments.push(now);
  while (now.timeMs - (moments[0]?.timeMs ?? 0) > STUCK_MS) moments.shift();
  if (beganMs === 0 || now.timeMs - beganMs < LIMIT_MS) return false;
  const then = moments.find(({ timeMs }) => timeMs >= beganMs);
  return now.timeMs - beganMs > STUCK_MS || (then !== undefined && now.computedMs - then.computedMs > threads * LIMIT_MS);
}

/** Runs a worker to the end of its share, or to the input that ended it. */
function runWorker({ seed, kinds, first, step, inputs, folder }: Omit<Share, 'place'>, options: PoolOptions): Promise<End | undefined> {
  const place = new SharedArrayBuffer(PLACE_BYTES);
  const [at, began] = [() => new Float64Array(place)[0] ?? 0, () => new Float64Array(place)[1] ?? 0];
  const share: Share = { seed, kinds, first, step, inputs, folder, place };
  const worker = new Worker(new URL('./worker.js', import.meta.url), {
    workerData: share,
    resourceLimits: { maxOldGenerationSizeMb: HEAP_MB },
  });
  return new Promise((resolve) => {
    let end: End | undefined;
    const watch = setInterval(() => {
      if (end !== undefined || !hangs(began(), options.threads)) return;
      end = { number: at(), finding: HANG };
      void worker.terminate();
    }, WATCH_MS);
    worker.on('message', (report: Report) => {
      if (report.kind === 'finding') options.onFinding(report.input, report.finding);
      else options.onDone(report.run, report.accepted);
    });
    worker.on('error', (error) => (end ??= { number: at(), finding: `ended the thread: ${error.stack ?? error.message}` }));
    worker.on('exit', () => {
      clearInterval(watch);
      resolve(end);
    });
  });
}
