/**
 * Regular expressions by which well-known models split text into words, as their tokenizer.json files write them. They
 * run in time proportional to the text; any other one is a stranger's and is run under a time limit (guarded-regex.ts).
 */

/** Llama 3, and every tokenizer that follows cl100k: digits in threes. */
export const SPLIT_LLAMA3 =
  "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+";

/** Qwen 2 and 3: digits one by one. */
export const SPLIT_QWEN2 =
  "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+";

const UPPER = '[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]';
const LOWER = '[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]';
const PREFIX = '[^\\r\\n\\p{L}\\p{N}]?';
const CONTRACTION = "(?i:'s|'t|'re|'ve|'m|'ll|'d)?";
const OTHERS = ' ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+';

/** Mistral's tekken: words split where lower case ends, digits one by one. */
export const SPLIT_TEKKEN = `${PREFIX}${UPPER}*${LOWER}+|${PREFIX}${UPPER}+${LOWER}*|\\p{N}|${OTHERS}`;

/** GPT-4o's o200k: as tekken, with contractions, and digits in threes. */
export const SPLIT_GPT4O = `${PREFIX}${UPPER}*${LOWER}+${CONTRACTION}|${PREFIX}${UPPER}+${LOWER}*${CONTRACTION}|\\p{N}{1,3}|${OTHERS}`;

/** GPT-2's own, which `ByteLevel` has built in. */
export const SPLIT_GPT2 = "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+";

/** The first of the four that llama.cpp's `default` applies, one after the other. */
export const DEFAULT_PUNCTUATION = '[\\p{P}\\$\\+<=>\\^~\\|]+';

export const KNOWN_SPLITS: ReadonlySet<string> = new Set([
  SPLIT_LLAMA3,
  SPLIT_QWEN2,
  SPLIT_TEKKEN,
  SPLIT_GPT4O,
  SPLIT_GPT2,
  DEFAULT_PUNCTUATION,
  '\\p{N}+',
  '[0-9][0-9][0-9]',
]);
