/**
 * Haystacks: the text that facts are hidden in. Calibration, its validation and evaluation take different parts of it, so
 * that no score is measured on text that gates were fitted to. Text is tokenized by the sentence and only where a sample
 * needs it (the whole essay would take a quarter of a minute), and kept.
 */
import { InputError } from '../errors.js';
import type { Warn } from '../errors.js';
import { sha256 } from '../files.js';
import type { Tokenizer } from '../model/model.js';
import { encodePiece } from './encoder.js';
import { essayText } from './essay.js';
import { sentenceStarts } from './sentences.js';
import { syntheticText } from './synthetic.js';
import { readTextFile } from './text-file.js';

export type TextPart = 'training' | 'validation' | 'evaluation';

/** Shares of a user's file, in this order from its start. */
const FILE_SHARES: Readonly<Record<TextPart, readonly [from: number, to: number]>> = {
  training: [0, 0.8],
  validation: [0.8, 0.9],
  evaluation: [0.9, 1],
};

/** Fewest sentences of a user's file, so that each part has one. */
const MIN_SENTENCES = 10;

export interface Haystack {
  /** `essay`, `synthetic`, or the user's file as given. */
  readonly name: string;
  /** The text of a part, made on first use. */
  text(part: TextPart): HaystackText;
}

/** A stretch of haystack tokens. */
export interface Stretch {
  readonly ids: Int32Array;
  /** Offsets in `ids` at which a sentence starts, ascending; the first is 0. */
  readonly starts: readonly number[];
}

/** One part of a haystack. */
export class HaystackText {
  readonly #starts: readonly number[];
  readonly #cache = new WeakMap<Tokenizer, (readonly number[])[]>();
  #warned = false;

  constructor(
    readonly name: string,
    readonly part: TextPart,
    readonly text: string,
    readonly warn: Warn = () => undefined,
  ) {
    this.#starts = sentenceStarts(text);
    this.hash = sha256(text);
  }

  /** SHA-256 of the text. */
  readonly hash: string;

  get sentences(): number {
    return this.#starts.length;
  }

  /** `count` tokens from sentence `first` on; past the end the text begins again, with a warning if any of it comes twice. @throws InputError when it gives no tokens */
  stretch(tokenizer: Tokenizer, first: number, count: number): Stretch {
    const ids = new Int32Array(count);
    const starts: number[] = [];
    let filled = 0;
    for (let taken = 0; filled < count; taken++) {
      if (taken === this.sentences) this.#endReached(filled, count);
      const sentence = this.#tokens(tokenizer, (first + taken) % this.sentences);
      starts.push(filled);
      ids.set(sentence.slice(0, count - filled), filled);
      filled += sentence.length;
    }
    return { ids, starts };
  }

  #tokens(tokenizer: Tokenizer, sentence: number): readonly number[] {
    let cache = this.#cache.get(tokenizer);
    if (cache === undefined) this.#cache.set(tokenizer, (cache = []));
    return (cache[sentence] ??= encodePiece(tokenizer, this.text.slice(this.#starts[sentence], this.#starts[sentence + 1])));
  }

  #endReached(filled: number, count: number): void {
    if (filled === 0) {
      throw new InputError({ code: 'haystack_tokens', what: 'the tokenizer makes no tokens of the haystack', given: this.name });
    }
    if (this.#warned) return;
    this.#warned = true;
    this.warn({
      code: 'haystack_repeats',
      message: `the ${this.part} part of the haystack ${this.name} is shorter than ${count.toLocaleString('en')} tokens and is repeated`,
      hint: 'a longer --haystack file',
    });
  }
}

/** Opens a haystack by name or file. @throws InputError when the file cannot serve, EnvironmentError when the essay's packages are missing. */
export function openHaystack(name: string, warn?: Warn): Haystack {
  const texts = new Map<TextPart, HaystackText>();
  const source = sourceOf(name);
  return {
    name,
    text(part) {
      let text = texts.get(part);
      if (text === undefined) texts.set(part, (text = new HaystackText(name, part, source(part), warn)));
      return text;
    },
  };
}

function sourceOf(name: string): (part: TextPart) => string {
  switch (name) {
    case 'essay':
      return essayText;
    case 'synthetic':
      return syntheticText;
    default:
      return fileParts(name);
  }
}

function fileParts(path: string): (part: TextPart) => string {
  const text = readTextFile(path);
  const starts = sentenceStarts(text);
  if (starts.length < MIN_SENTENCES) {
    throw new InputError({
      code: 'haystack_short',
      what: 'the haystack is too short to be split into text for calibration and for evaluation',
      given: `${path} with ${starts.length} sentences`,
      expected: `at least ${MIN_SENTENCES} sentences`,
    });
  }
  return (part) => {
    const [from, to] = FILE_SHARES[part].map((share) => starts[Math.floor(starts.length * share)] ?? text.length);
    return text.slice(from, to);
  };
}
