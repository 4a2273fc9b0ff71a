/**
 * How the byte-level tokenizers of GGUF files split text: `tokenizer.ggml.pre` is only a name, and llama.cpp's
 * src/llama-vocab.cpp (https://github.com/ggml-org/llama.cpp) says what it stands for. A row holds what the tokenizer.json
 * of the models of that name holds. A name without a row is refused: a near miss would give other ids without a word.
 */
import { DEFAULT_PUNCTUATION, SPLIT_GPT2, SPLIT_GPT4O, SPLIT_LLAMA3, SPLIT_QWEN2, SPLIT_TEKKEN } from './split-patterns.js';

export interface GgufPreTokenizer {
  readonly names: readonly string[];
  /** The pre_tokenizer of tokenizer.json. */
  readonly parts: readonly object[];
  /** GGUF files carry no normalizer. */
  readonly normalizer?: { readonly type: 'NFC' };
  /** A word that is a token is taken whole, merges or not. */
  readonly ignoreMerges?: boolean;
  /** What holds where the file has no add_bos_token. */
  readonly addBos?: boolean;
}

const split = (regex: string): object => ({ type: 'Split', pattern: { Regex: regex }, behavior: 'Isolated', invert: false });
const BYTES = { type: 'ByteLevel', add_prefix_space: false, use_regex: false };
/** Bytes of GPT-2's words. */
const GPT2 = { type: 'ByteLevel', add_prefix_space: false, use_regex: true };

const GGUF_PRE_TOKENIZERS: readonly GgufPreTokenizer[] = [
  { names: ['llama-bpe', 'llama3', 'llama-v3'], parts: [split(SPLIT_LLAMA3), BYTES], ignoreMerges: true, addBos: true },
  { names: ['dbrx', 'smaug-bpe'], parts: [split(SPLIT_LLAMA3), BYTES] },
  { names: ['qwen2', 'deepseek-r1-qwen'], parts: [split(SPLIT_QWEN2), BYTES], normalizer: { type: 'NFC' } },
  { names: ['tekken'], parts: [split(SPLIT_TEKKEN), BYTES], ignoreMerges: true, addBos: true },
  { names: ['gpt-4o'], parts: [split(SPLIT_GPT4O), BYTES] },
  { names: ['gpt-2', 'phi-2'], parts: [GPT2] },
  { names: ['smollm', 'starcoder', 'refact'], parts: [{ type: 'Digits', individual_digits: true }, GPT2] },
  // llama.cpp's own: no model's, but what a file has whose writer knew of none.
  { names: ['default'], parts: [split(DEFAULT_PUNCTUATION), split(SPLIT_GPT2), split('\\p{N}+'), split('[0-9][0-9][0-9]'), BYTES] },
];

/** The row of `name`; undefined for an unknown one. */
export function ggufPreTokenizer(name: string): GgufPreTokenizer | undefined {
  return GGUF_PRE_TOKENIZERS.find(({ names }) => names.includes(name));
}
