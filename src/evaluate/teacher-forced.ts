/**
 * Answers scored in one pass: the right answers are fed, and the choice at each of their tokens is compared. That equals
 * greedy decoding up to the first wrong token, so a sample whose choices are all right is one that greedy decoding answers.
 */
import type { HybridCache, WindowRule } from '../cache/hybrid-cache.js';
import type { Tensor } from '../device/device.js';
import { at, InternalError } from '../errors.js';
import type { Model, Tokenizer } from '../model/model.js';
import { breathe } from '../progress.js';
import { feed } from './feed.js';
import { CHUNK_TOKENS } from './prefill.js';

export interface Span {
  readonly start: number;
  readonly end: number;
}

/** What follows a prompt: answers, and the further questions between them. */
export interface Continuation {
  readonly ids: Int32Array;
  /** Where the answers lie in `ids`, ascending; the first at 0. */
  readonly answers: readonly Span[];
}

export interface ForcedOptions {
  /** Rule under which the continuation is fed, as if it had been generated. */
  readonly decodeWindow: WindowRule;
  /** Called between chunks; it may throw to stop. */
  readonly onChunk?: () => void;
}

/**
 * The choice at every token of the answers, each after all tokens before it were right: one array for each answer.
 * `logits`, (1, vocab), are those of the prompt's last token; they are freed.
 */
export async function forcedChoices(
  model: Model,
  cache: HybridCache,
  logits: Tensor,
  { ids, answers }: Continuation,
  { decodeWindow, onChunk }: ForcedOptions,
): Promise<readonly Int32Array[]> {
  // The choice at token t comes from the logits of token t - 1; that of token 0 from the prompt's.
  const wanted = answers.flatMap(({ start, end }) => range(start, end).map((token) => token - 1)).filter((token) => token >= 0);
  const chosen = new Map([[-1, at(takeChoices(model, logits), 0)]]);
  const step = decodeWindow === 'exact' ? CHUNK_TOKENS : 1;
  const last = at(wanted, wanted.length - 1) + 1;
  for (let start = 0; start < last; start += step) {
    const end = Math.min(start + step, last);
    const tokens = wanted.filter((token) => token >= start && token < end);
    const rows = tokens.map((token) => token - start);
    const part = feed(model, cache, ids.subarray(start, end), decodeWindow, rows);
    if (part !== undefined) takeChoices(model, part).forEach((choice, i) => chosen.set(at(tokens, i), choice));
    onChunk?.();
    await breathe();
  }
  return answers.map(({ start, end }) => Int32Array.from(range(start, end), (token) => choiceAt(chosen, token - 1)));
}

/** How many words of a text, given as its tokens, were chosen right: all their tokens were. */
export function rightWords(
  tokenizer: Tokenizer,
  expected: Int32Array,
  chosen: Int32Array,
): { readonly right: number; readonly words: number } {
  const wrong = new Set<number>();
  let word = 0;
  expected.forEach((id, token) => {
    word = wordsIn(tokenizer, expected.subarray(0, token + 1));
    if (chosen[token] !== id) wrong.add(word);
  });
  return { right: word - wrong.size, words: word };
}

/** Words begun in the text of `ids`. */
function wordsIn(tokenizer: Tokenizer, ids: Int32Array): number {
  const text = tokenizer.decode([...ids]).trim();
  return text === '' ? 1 : text.split(/\s+/).length;
}

function range(start: number, end: number): number[] {
  return Array.from({ length: end - start }, (_, i) => start + i);
}

/** The largest of each row of `logits`, which are freed. */
function takeChoices(model: Model, logits: Tensor): Int32Array {
  const largest = model.device.argmax(logits);
  const choices = model.device.downloadInts(largest);
  model.device.free(largest, logits);
  return choices;
}

function choiceAt(chosen: ReadonlyMap<number, number>, token: number): number {
  const choice = chosen.get(token);
  if (choice === undefined) throw new InternalError(`no choice after token ${token}`);
  return choice;
}
