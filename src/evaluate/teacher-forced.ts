/**
 * Answers scored in one pass: the right answers are fed, and the choice at each of their tokens is compared. That equals
 * greedy decoding up to the first wrong token, so a sample whose choices are all right is one that greedy decoding answers.
 */
import type { HybridCache, WindowRule } from '../cache/hybrid-cache.js';
import type { Prefill } from '../config/values.js';
import type { Tensor } from '../device/device.js';
import { at, InternalError } from '../errors.js';
import type { Model } from '../model/model.js';
import { breathe } from '../progress.js';
import { feed } from './feed.js';
import { CHUNK_TOKENS, prefill } from './prefill.js';

export interface Span {
  readonly start: number;
  readonly end: number;
}

export interface ForcedOptions {
  readonly prefill: Prefill;
  readonly decodeWindow: WindowRule;
  readonly onChunk?: () => void;
}

/**
 * The choices at the tokens of `answers` (ascending), each token's after all before it were right: one array for each answer.
 * What stands before the first answer is the prompt; the rest is fed under the decoding rule, as if it had been generated.
 */
export async function forcedChoices(
  model: Model,
  cache: HybridCache,
  ids: Int32Array,
  answers: readonly Span[],
  options: ForcedOptions,
): Promise<readonly Int32Array[]> {
  const promptTokens = at(answers, 0).start;
  // The choice at a token comes from the logits of the one before it.
  const wanted = answers.flatMap(({ start, end }) => Array.from({ length: end - start }, (_, i) => start + i - 1));
  const first = await prefill(model, cache, ids.subarray(0, promptTokens), { prefill: options.prefill, ...onChunk(options) });
  const chosen = new Map([[promptTokens - 1, at(takeChoices(model, first), 0)]]);
  const step = options.decodeWindow === 'exact' ? CHUNK_TOKENS : 1;
  const last = at(answers, answers.length - 1).end - 1;
  for (let start = promptTokens; start < last; start += step) {
    const end = Math.min(start + step, last);
    const positions = wanted.filter((position) => position >= start && position < end);
    const logits = feed(
      model,
      cache,
      ids.subarray(start, end),
      options.decodeWindow,
      positions.map((position) => position - start),
    );
    if (logits !== undefined) takeChoices(model, logits).forEach((choice, i) => chosen.set(at(positions, i), choice));
    options.onChunk?.();
    await breathe();
  }
  return answers.map(({ start, end }) => Int32Array.from({ length: end - start }, (_, i) => choiceAt(chosen, start + i - 1)));
}

function onChunk(options: ForcedOptions): { onChunk?: () => void } {
  return options.onChunk === undefined ? {} : { onChunk: options.onChunk };
}

/** The largest of each row of `logits`, which are freed. */
function takeChoices(model: Model, logits: Tensor): Int32Array {
  const largest = model.device.argmax(logits);
  const choices = model.device.downloadInts(largest);
  model.device.free(largest, logits);
  return choices;
}

function choiceAt(chosen: ReadonlyMap<number, number>, position: number): number {
  const choice = chosen.get(position);
  if (choice === undefined) throw new InternalError(`no choice at position ${position}`);
  return choice;
}
