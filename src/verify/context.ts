/** What the comparisons of every kind of dump share. */
import type { Tensor } from '../device/device.js';
import type { HybridCache, WindowRule } from '../cache/hybrid-cache.js';
import { at } from '../errors.js';
import { decodeStep } from '../evaluate/decode.js';
import type { Model } from '../model/model.js';
import { breathe } from '../progress.js';
import type { Comparison, Rule } from './compare.js';
import type { Dump } from './dump.js';

export interface VerifyContext {
  readonly model: Model;
  readonly dump: Dump;
  /** For logits, hidden states, keys and values. */
  readonly rule: Rule;
  /** A tensor of the model's files by its stored name, as float32; undefined: there is none. */
  readonly readStored?: (name: string) => Float32Array | undefined;
  readonly add: (comparison: Comparison) => void;
  /** Called between pieces of work; throws to stop. */
  readonly check: () => void;
}

/** One kind of dump, known by its tensor names. */
export interface DumpKind {
  readonly name: string;
  readonly recognises: (dump: Dump) => boolean;
  readonly compare: (context: VerifyContext) => Promise<void>;
}

/** Rows start..start+count-1 on the host. */
export function downloadRows(model: Model, x: Tensor, start: number, count: number): Float32Array {
  const rows = model.device.sliceRows(x, start, count);
  const values = model.device.download(rows);
  model.device.free(rows);
  return values;
}

/** Downloads and frees. */
export function take(model: Model, x: Tensor): Float32Array {
  const values = model.device.download(x);
  model.device.free(x);
  return values;
}

export interface Greedy {
  readonly ids: readonly number[];
  /** The logits that chose each id, (ids.length, vocab). */
  readonly logits: Float32Array;
}

/** Continues greedily for exactly `count` tokens, whatever they are, from `logits` (1, vocab), which are freed. */
export async function continueGreedily(
  context: VerifyContext,
  cache: HybridCache,
  logits: Tensor,
  count: number,
  rule: WindowRule = 'exact',
): Promise<Greedy> {
  const { model } = context;
  const ids: number[] = [];
  const rows = new Float32Array(count * model.config.vocab);
  let next = logits;
  for (let step = 0; step < count; step++) {
    const choice = model.device.argmax(next);
    const id = at(model.device.downloadInts(choice), 0);
    model.device.free(choice);
    rows.set(take(model, next), step * model.config.vocab);
    ids.push(id);
    await breathe();
    context.check();
    if (step < count - 1) next = decodeStep(model, cache, id, rule);
  }
  return { ids, logits: rows };
}
