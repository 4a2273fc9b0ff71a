/** A thread of the fuzzer: runs the inputs of a share one after the other and says which one it is at. */
import { join } from 'node:path';
import { parentPort, workerData } from 'node:worker_threads';
import { runCase, secretIsWhole } from './case.js';
import type { Case } from './case.js';
import { installGuard } from './guard.js';

/** What the pool gives a thread. */
export interface Share {
  readonly seed: number;
  /** Rows of KINDS, in turns: input n is of kind n modulo their number. */
  readonly kinds: readonly number[];
  /** Inputs first, first + step, ... up to inputs - 1. */
  readonly first: number;
  readonly step: number;
  readonly inputs: number;
  readonly folder: string;
  readonly place: SharedArrayBuffer;
}

/** Where a thread is: the input, and when it began, ms. */
export const PLACE_BYTES = 2 * Float64Array.BYTES_PER_ELEMENT;

export type Report =
  | { readonly kind: 'finding'; readonly input: Case; readonly finding: string }
  | { readonly kind: 'done'; readonly accepted: number; readonly run: number };

export function inputOf({ seed, kinds }: Pick<Share, 'seed' | 'kinds'>, number: number): Case {
  return { seed, kind: kinds[number % kinds.length] ?? 0, number };
}

const REPORT_EVERY = 1000;

async function work(share: Share, report: (message: Report) => void): Promise<void> {
  const place = new Float64Array(share.place);
  const folder = join(share.folder, 'input');
  let [accepted, run] = [0, 0];
  for (let number = share.first; number < share.inputs; number += share.step) {
    [place[0], place[1]] = [number, Date.now()];
    const input = inputOf(share, number);
    const verdict = await runCase(input, folder);
    run += 1;
    if (verdict.accepted) accepted += 1;
    const finding = verdict.finding ?? (secretIsWhole(share.folder) ? undefined : 'wrote to a file outside its folder');
    if (finding !== undefined) report({ kind: 'finding', input, finding });
    if (run >= REPORT_EVERY) {
      report({ kind: 'done', accepted, run });
      [accepted, run] = [0, 0];
    }
  }
  report({ kind: 'done', accepted, run });
}

if (parentPort !== null) {
  const port = parentPort;
  console.warn = console.log = console.error = () => undefined; // libraries remark on what they read
  installGuard();
  await work(workerData as Share, (message) => port.postMessage(message));
}
