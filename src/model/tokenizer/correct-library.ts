/**
 * Corrections around @huggingface/tokenizers: where a part of it gives another result than the tokenizers library that
 * models are made with (https://github.com/huggingface/tokenizers, 0.23), the method at fault is replaced on that part.
 * A part and its entry of tokenizer.json are walked together.
 */
import type { TokenizerJson } from './check.js';
import { runGuarded } from './guarded-regex.js';
import { SPLIT_GPT2 } from './split-patterns.js';
import type { LibraryDecoder, LibraryModel, LibraryNormalizer, LibraryPreTokenizer, LibraryTokenizer } from './library.js';
import type { Behavior, Part, Pattern } from './parts.js';

type CorrectableJson = Pick<TokenizerJson, 'normalizer' | 'pre_tokenizer' | 'decoder' | 'model'>;

/** Replaces what differs in `library`, which was made from `json`. */
export function correctLibrary(library: LibraryTokenizer, json: CorrectableJson): void {
  if (library.normalizer !== null && json.normalizer !== null) correctNormalizer(library.normalizer, json.normalizer);
  if (library.pre_tokenizer !== null && json.pre_tokenizer !== null) correctPreTokenizer(library.pre_tokenizer, json.pre_tokenizer);
  if (library.decoder !== null && json.decoder !== null) correctDecoder(library.decoder, json.decoder);
  if (json.model.fuse_unk === true) fuseUnknownInWords(library.model);
  if (keepsMarksFirst(json.model.vocab)) splitBeforeMarks(library.model);
  if (dropsUnknown(json)) dropUnknownFirst(library.model, json.model.vocab);
}

function correctNormalizer(part: LibraryNormalizer, config: Part): void {
  const { pattern } = part;
  if (config.type === 'Replace' && pattern !== undefined) part.normalize = literalReplace(pattern, config);
  // The final sigma is no exception there: characters are lowered one by one.
  if (config.type === 'Lowercase') part.normalize = (text) => Array.from(text, (character) => character.toLowerCase()).join('');
  part.normalizers?.forEach((inner, index) => correctNormalizer(inner, partOf(config, 'normalizers', index)));
}

function correctPreTokenizer(part: LibraryPreTokenizer, config: Part): void {
  const split = splitter(part, config);
  if (split !== undefined) part.pre_tokenize_text = split;
  if (config.type === 'ByteLevel') part.pattern = GPT2_WORDS;
  part.tokenizers?.forEach((inner, index) => correctPreTokenizer(inner, partOf(config, 'pretokenizers', index)));
}

function correctDecoder(part: LibraryDecoder, config: Part): void {
  const { pattern } = part;
  if (config.type === 'ByteFallback') part.decode_chain = fuseByteTokens;
  if (config.type === 'ByteLevel') part.decode_chain = (tokens) => [byteLevelText(tokens)];
  if (config.type === 'Metaspace') part.decode_chain = (tokens) => metaspaceTexts(tokens, config);
  if (config.type === 'Replace' && pattern !== undefined) {
    const replace = literalReplace(pattern, config);
    part.decode_chain = (tokens) => tokens.map(replace);
  }
  part.decoders?.forEach((inner, index) => correctDecoder(inner, partOf(config, 'decoders', index)));
}

function partOf(config: Part, list: string, index: number): Part {
  return (config[list] as readonly Part[])[index] as Part;
}

/** JavaScript's `replace` reads `$&` in the new text as the text found; here it is only text. */
function literalReplace(pattern: RegExp, config: Part): (text: string) => string {
  const content = config['content'] as string;
  const source = config['pattern'] as Pattern;
  return (text) => guarded(source, text, () => text.replaceAll(pattern, () => content));
}

/** A text pattern is harmless; a regular expression may not be. */
function guarded<T>(pattern: Pattern, text: string, match: () => T): T {
  return 'Regex' in pattern ? runGuarded(pattern.Regex, text.length, match) : match();
}

/** JavaScript's `\s` has U+FEFF and lacks U+0085: Unicode's White_Space is what is meant. */
const GPT2_WORDS = new RegExp(
  SPLIT_GPT2.replaceAll('[^\\s', '[^\\p{White_Space}').replaceAll('\\s', '\\p{White_Space}').replaceAll('\\S', '\\P{White_Space}'),
  'gu',
);
const NUMERIC = /\p{N}/gu;
const PUNCTUATION = /[\p{P}$+<=>^`|~]/gu;

type SplitText = LibraryPreTokenizer['pre_tokenize_text'];

/** How a pre-tokenizer that splits at what it finds does it; undefined for those that do something else. */
function splitter(part: LibraryPreTokenizer, config: Part): SplitText | undefined {
  switch (config.type) {
    case 'Digits':
      return (text) => splitAt(text, NUMERIC, config['individual_digits'] === true ? 'Isolated' : 'Contiguous');
    case 'Punctuation':
      return (text) => splitAt(text, PUNCTUATION, (config['behavior'] ?? 'Isolated') as Behavior);
    case 'Metaspace':
      return metaspaceSplitter(config);
    case 'Split': {
      const { pattern } = part;
      const source = config['pattern'] as Pattern;
      const behavior = config['behavior'] as Behavior;
      if (pattern === undefined) return undefined;
      return (text) => guarded(source, text, () => splitAt(text, pattern, behavior, config['invert'] === true));
    }
    default:
      return undefined;
  }
}

function metaspaceSplitter(config: Part): SplitText {
  const mark = config['replacement'] as string;
  const scheme = config['prepend_scheme'] ?? 'always';
  const marks = new RegExp(`\\u{${(mark.codePointAt(0) ?? 0).toString(16)}}`, 'gu');
  return (text, options) => {
    const marked = text.replaceAll(' ', () => mark);
    const prepend = scheme === 'always' || (scheme === 'first' && options?.section_index === 0);
    const whole = prepend && !marked.startsWith(mark) ? mark + marked : marked;
    return config['split'] === false ? [whole] : splitAt(whole, marks, 'MergedWithNext');
  };
}

/**
 * `text` cut at every match of `pattern` (global), none of it empty; `invert` swaps what is found and what lies between.
 * `behavior` says what becomes of the found: removed, a word of its own, or joined to a neighbour.
 */
export function splitAt(text: string, pattern: RegExp, behavior: Behavior, invert = false): string[] {
  const pieces: { text: string; found: boolean }[] = [];
  const add = (start: number, end: number, found: boolean): void => {
    if (end > start) pieces.push({ text: text.slice(start, end), found: found !== invert });
  };
  let end = 0;
  for (const match of text.matchAll(pattern)) {
    add(end, match.index, false);
    end = match.index + match[0].length;
    add(match.index, end, true);
  }
  add(end, text.length, false);
  if (behavior === 'Removed') return pieces.filter((piece) => !piece.found).map((piece) => piece.text);
  const words: string[] = [];
  pieces.forEach((piece, index) => {
    const before = pieces[index - 1];
    const joined = before !== undefined && joins(behavior, before.found, piece.found);
    if (joined) words.push((words.pop() ?? '') + piece.text);
    else words.push(piece.text);
  });
  return words;
}

/** Whether a piece is joined to the one before it. Of neighbours that are both found, only `Contiguous` makes one. */
function joins(behavior: Behavior, beforeFound: boolean, found: boolean): boolean {
  if (behavior === 'Contiguous') return beforeFound === found;
  if (behavior === 'MergedWithPrevious') return !beforeFound && found;
  return behavior === 'MergedWithNext' && beforeFound && !found;
}

/** Unknown characters that follow each other become one unknown token, but only inside a word. */
function fuseUnknownInWords(model: LibraryModel): void {
  const encode = model.encode.bind(model);
  const unknown = model.unk_token;
  model.fuse_unk = false;
  model.encode = (words) =>
    words.flatMap((word) => encode([word]).filter((token, index, all) => token !== unknown || all[index - 1] !== unknown));
}

const MARK = '▁';

/** Whether no token has a mark after another character, so that no merge reaches over the start of a run of marks. */
function keepsMarksFirst(vocab: Readonly<Record<string, number>>): boolean {
  return Object.hasOwn(vocab, MARK) && !Object.keys(vocab).some((token) => /[^▁]▁/.test(token));
}

/**
 * The library takes time for a word that grows faster than the word, and SentencePiece-style tokenizers make one word of
 * a whole text. Where no merge can reach over a border, cutting there changes nothing, and words recur.
 */
function splitBeforeMarks(model: LibraryModel): void {
  const encode = model.encode.bind(model);
  model.encode = (words) => encode(words.flatMap((word) => (word.includes(MARK) ? (word.match(/▁+[^▁]*|[^▁]+/g) ?? []) : word)));
}

/** Whether the tokenizer may meet a character that it has no token, no bytes and no unknown token for. */
function dropsUnknown({ model, pre_tokenizer: pre }: CorrectableJson): boolean {
  if (typeof model.unk_token === 'string' || model.byte_fallback === true) return false;
  const last = pre?.type === 'Sequence' ? (pre['pretokenizers'] as readonly Part[]).at(-1) : pre;
  return last?.type !== 'ByteLevel' || [...BYTE_OF_CHARACTER.keys()].some((character) => !Object.hasOwn(model.vocab, character));
}

/** Such characters are dropped before anything is merged: what stood on both sides may then merge. */
function dropUnknownFirst(model: LibraryModel, vocab: Readonly<Record<string, number>>): void {
  const encode = model.encode.bind(model);
  const known = (word: string): string => Array.from(word, (character) => (Object.hasOwn(vocab, character) ? character : '')).join('');
  model.encode = (words) => encode(words.map(known));
}

/** Joins each run of byte tokens (`<0x0A>`) into text; in a run that is not valid UTF-8 every byte becomes one U+FFFD. */
function fuseByteTokens(tokens: readonly string[]): string[] {
  const texts: string[] = [];
  let run: number[] = [];
  const endRun = (): void => {
    if (run.length > 0) texts.push(decodeRun(run));
    run = [];
  };
  for (const token of tokens) {
    const byte = /^<0x([0-9a-fA-F]{2})>$/.exec(token)?.[1];
    if (byte !== undefined) run.push(Number.parseInt(byte, 16));
    else {
      endRun();
      texts.push(token);
    }
  }
  endRun();
  return texts;
}

function decodeRun(bytes: readonly number[]): string {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(Uint8Array.from(bytes));
  } catch {
    return '\uFFFD'.repeat(bytes.length);
  }
}

/**
 * The characters that stand for the 256 bytes in byte-level tokens: printable Latin-1 for itself, the others U+0100 and
 * on (https://github.com/openai/gpt-2/blob/master/src/encoder.py, bytes_to_unicode).
 */
const BYTE_OF_CHARACTER: ReadonlyMap<string, number> = (() => {
  const printable = (byte: number): boolean => (byte > 0x20 && byte < 0x7f) || (byte > 0xa0 && byte !== 0xad);
  let next = 0x100;
  return new Map(Array.from({ length: 256 }, (_, byte) => [String.fromCodePoint(printable(byte) ? byte : next++), byte]));
})();

/** Byte-level tokens as text; a token with any character that stands for no byte (`<｜begin▁of▁sentence｜>`) is its own text. */
function byteLevelText(tokens: readonly string[]): string {
  const encoder = new TextEncoder();
  const bytes = tokens.flatMap((token) => {
    const stood = Array.from(token, (character) => BYTE_OF_CHARACTER.get(character));
    return stood.every((byte) => byte !== undefined) ? stood : [...encoder.encode(token)];
  });
  return new TextDecoder('utf-8', { ignoreBOM: true }).decode(Uint8Array.from(bytes));
}

/** Marks are spaces, but none at the start of the text unless the tokenizer puts none there. */
function metaspaceTexts(tokens: readonly string[], config: Part): string[] {
  const space = config['prepend_scheme'] === 'never' ? ' ' : '';
  return tokens.map((token, index) => token.replaceAll(config['replacement'] as string, index === 0 ? space : ' '));
}
