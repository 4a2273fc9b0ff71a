/**
 * A script and a haystack spliced at token level. Pieces are tokenized one by one: no tokenizer merges across a needle's
 * ends, and the answer's tokens are known exactly.
 */
import { InputError } from '../errors.js';
import type { Tokenizer } from '../model/model.js';
import { encodePiece, leadingIds } from './encoder.js';
import type { PieceMode } from './encoder.js';
import type { HaystackText, Stretch } from './haystack.js';
import type { Script } from './script.js';

/** A script as token ids. */
export interface ScriptTokens {
  readonly head: readonly number[];
  readonly needles: readonly (readonly number[])[];
  readonly turns: readonly { readonly before: readonly number[]; readonly ask: readonly number[]; readonly value: readonly number[] }[];
  readonly tail: readonly number[];
  /** All of them together. */
  readonly count: number;
}

export interface Assembled {
  readonly ids: Int32Array;
  /** 1 from the first question's first token on. */
  readonly block: Uint8Array;
  /** 1 on the values asked for. */
  readonly answer: Uint8Array;
  /** Where each answer lies in `ids`. */
  readonly answers: readonly { readonly start: number; readonly end: number }[];
  /** Share of haystack tokens before each needle. */
  readonly placed: readonly number[];
}

/** Least tokens and least share of a sample that are haystack. */
const MIN_HAYSTACK = { tokens: 16, share: 0.1 };

/** The reference keeps this many tokens free below its longest length, and pads to this multiple. */
const REFERENCE = { reserveTokens: 300, padTo: 16 };

export function tokenizeScript(script: Script, tokenizer: Tokenizer, mode: PieceMode): ScriptTokens {
  const piece = (text: string): number[] => encodePiece(tokenizer, text, mode);
  const head = [...(script.templated ? [] : leadingIds(tokenizer)), ...tokenizer.encode(script.head)];
  const needles = script.needles.map((texts) => texts.flatMap(piece));
  const turns = script.turns.map(({ before, ask, value }) => ({ before: piece(before), ask: piece(ask), value: piece(value) }));
  const tail = piece(script.tail);
  const lengths = [head, ...needles, ...turns.flatMap(({ before, ask, value }) => [before, ask, value]), tail].map(({ length }) => length);
  return { head, needles, turns, tail, count: lengths.reduce((sum, length) => sum + length, 0) };
}

/** Haystack tokens left in a sample of `contextTokens`; undefined when they are too few to hide anything in. */
export function haystackRoom(tokens: ScriptTokens, contextTokens: number): number | undefined {
  const room = contextTokens - tokens.count;
  return room >= Math.max(MIN_HAYSTACK.tokens, Math.ceil(contextTokens * MIN_HAYSTACK.share)) ? room : undefined;
}

/** Fewest tokens a sample with this script can have. */
export function fewestTokens(tokens: ScriptTokens): number {
  return Math.max(tokens.count + MIN_HAYSTACK.tokens, Math.ceil(tokens.count / (1 - MIN_HAYSTACK.share)));
}

/** Exactly `haystack` plus the script; needles at `depths` (ascending), each moved back to the last sentence start. */
export function assembleExact(tokens: ScriptTokens, haystack: Stretch, depths: readonly number[]): Assembled {
  const length = haystack.ids.length;
  const positions = depths.map((depth) => haystack.starts.findLast((start) => start <= Math.floor(length * depth)) ?? 0);
  return assemble(tokens, haystack.ids, positions, []);
}

/**
 * The reference's layout: `haystackTokens` from the start of the text, fewer when the sample would come within 300 tokens of
 * `longestTokens`; needles cut the text at floor(tokens * depth); the end of the text pads by 1 to 16 tokens.
 * @throws InputError when the longest length does not hold the needles
 */
export function assembleReference(
  tokens: ScriptTokens,
  text: HaystackText,
  tokenizer: Tokenizer,
  lengths: { readonly haystackTokens: number; readonly longestTokens: number },
  depths: readonly number[],
): Assembled {
  const available = lengths.longestTokens - REFERENCE.reserveTokens - tokens.count;
  if (available < MIN_HAYSTACK.tokens) {
    throw new InputError({
      code: 'sample_too_short',
      what: `the longest sample has no room for ${tokens.needles.length} passkeys in the reference's layout, which keeps ${REFERENCE.reserveTokens} tokens free`,
      given: `${lengths.longestTokens} tokens`,
      expected: `at least ${tokens.count + REFERENCE.reserveTokens + MIN_HAYSTACK.tokens} tokens`,
      hint: 'raise --max-tokens, or lower --passkeys or --passkey-words',
    });
  }
  const whole = text.stretch(tokenizer, 0, Math.min(lengths.longestTokens, available)).ids;
  const haystack = whole.subarray(0, lengths.haystackTokens);
  const padding = REFERENCE.padTo - ((tokens.count + haystack.length) % REFERENCE.padTo);
  const positions = depths.map((depth) => Math.floor(haystack.length * depth));
  return assemble(tokens, haystack, positions, whole.subarray(-padding));
}

function assemble(tokens: ScriptTokens, haystack: Int32Array, positions: readonly number[], padding: ArrayLike<number>): Assembled {
  const writer = new Writer(tokens.count + haystack.length + padding.length);
  writer.write(tokens.head);
  let last = 0;
  positions.forEach((position, index) => {
    writer.write(haystack.subarray(last, position));
    writer.write(tokens.needles[index] ?? []);
    last = position;
  });
  writer.write(haystack.subarray(last));
  writer.write(padding);
  const answers = tokens.turns.map(({ before, ask, value }) => {
    writer.write(before);
    writer.write(ask, 'block');
    return writer.write(value, 'answer');
  });
  writer.write(tokens.tail, 'block');
  return {
    ids: writer.ids,
    block: writer.block,
    answer: writer.answer,
    answers,
    placed: positions.map((position) => position / haystack.length),
  };
}

class Writer {
  readonly ids: Int32Array;
  readonly block: Uint8Array;
  readonly answer: Uint8Array;
  #next = 0;

  constructor(count: number) {
    this.ids = new Int32Array(count);
    this.block = new Uint8Array(count);
    this.answer = new Uint8Array(count);
  }

  write(piece: ArrayLike<number>, role: 'context' | 'block' | 'answer' = 'context'): { start: number; end: number } {
    const start = this.#next;
    const end = start + piece.length;
    this.ids.set(piece, start);
    if (role !== 'context') this.block.fill(1, start, end);
    if (role === 'answer') this.answer.fill(1, start, end);
    this.#next = end;
    return { start, end };
  }
}
