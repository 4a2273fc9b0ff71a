/** A model against a reference dump: every tensor that something here computes is compared, the others are named. */
import { InputError, InterruptedError } from '../errors.js';
import type { Model } from '../model/model.js';
import type { OnProgress } from '../progress.js';
import { calibrationDump } from './calibration-dump.js';
import type { Comparison } from './compare.js';
import type { DumpKind, VerifyContext } from './context.js';
import type { Dump } from './dump.js';
import { forwardDump } from './forward-dump.js';
import { hybridDump } from './hybrid-dump.js';
import { promptDump } from './prompt-dump.js';
import { storedDump } from './stored-dump.js';

const KINDS: readonly DumpKind[] = [forwardDump, hybridDump, promptDump, calibrationDump, storedDump];

export interface Verification {
  /** Kinds of dump found in the file. */
  readonly kinds: readonly string[];
  readonly comparisons: readonly Comparison[];
  /** Tensors of the dump that nothing was compared with. */
  readonly notCompared: readonly string[];
  readonly passed: boolean;
}

export interface VerifyOptions {
  /** Largest absolute difference of logits, hidden states, keys and values; ids are exact, the other limits are in compare.ts. */
  readonly tolerance: number;
  /** Reads the model's files, for dumps of stored weights; without it those are not compared. */
  readonly readStored?: (name: string) => Float32Array | undefined;
  readonly onProgress?: OnProgress;
  readonly signal?: AbortSignal;
}

/** Kinds of a dump by its tensor names. @throws InputError when it is of none. */
export function kindsOf(dump: Dump): readonly DumpKind[] {
  const kinds = KINDS.filter((kind) => kind.recognises(dump));
  if (kinds.length > 0) return kinds;
  throw new InputError({
    code: 'golden_unknown',
    what: 'nothing in the dump can be compared',
    given: `${dump.path} with ${dump.names.slice(0, 5).join(', ') || 'no tensor'}${dump.names.length > 5 ? ', ...' : ''}`,
    expected:
      'input_ids with logits, mask with exact.logits, <prompt>.ids with <prompt>.logits_lastN, one.ids and steps.ids, or dequant.<tensor>',
  });
}

/** @throws InputError when nothing could be compared or the dump is of another model; InterruptedError when stopped. */
export async function verify(model: Model, dump: Dump, options: VerifyOptions): Promise<Verification> {
  const kinds = kindsOf(dump);
  const comparisons: Comparison[] = [];
  const context: VerifyContext = {
    model,
    dump,
    rule: { measure: 'absolute', limit: options.tolerance },
    ...(options.readStored === undefined ? {} : { readStored: options.readStored }),
    add: (comparison) => {
      comparisons.push(comparison);
      options.onProgress?.({ stage: 'comparing', done: comparisons.length, total: dump.names.length, note: comparison.tensor });
    },
    check: () => stopIfAborted(options.signal, dump),
  };
  for (const kind of kinds) await kind.compare(context);
  if (comparisons.length === 0)
    throw new InputError({ code: 'golden_empty', what: 'the dump holds inputs but nothing to compare', given: dump.path });
  return {
    kinds: kinds.map((kind) => kind.name),
    comparisons,
    notCompared: dump.unread(),
    passed: comparisons.every((comparison) => comparison.passed),
  };
}

function stopIfAborted(signal: AbortSignal | undefined, dump: Dump): void {
  if (signal?.aborted !== true) return;
  throw new InterruptedError({ code: 'interrupted', what: 'stopped before everything was compared', given: dump.path });
}
