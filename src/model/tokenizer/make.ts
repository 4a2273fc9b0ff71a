/**
 * The tokenizer of a model from its checked parts, whichever file they came from: text to token ids and back through
 * @huggingface/tokenizers, chats through the template.
 */
import { InputError } from '../../errors.js';
import { correctAddedTokens, specialIds } from './added-tokens.js';
import type { ChatTemplate } from './chat-template.js';
import type { TokenizerJson } from './check.js';
import { correctLibrary } from './correct-library.js';
import type { Tokenizer } from '../model.js';
import { createLibraryTokenizer } from './library.js';
import type { LibraryTokenizer } from './library.js';

export interface TokenizerSource {
  readonly json: TokenizerJson;
  /** Merges (the JSON text of a pair) and their ranks, in place of the list in `json`: merges of one rank go from left to right. */
  readonly ranks?: ReadonlyMap<string, number>;
  readonly template: ChatTemplate | undefined;
  /** The model's vocabulary size: no id outside it is ever returned. */
  readonly vocab: number;
  /** The file, for errors. */
  readonly path: string;
}

/** @throws InputError when the library does not take a part, such as a regular expression. */
export function makeTokenizer({ json, ranks, template, vocab, path }: TokenizerSource): Tokenizer {
  const library = createTokenizer(json, path);
  correctLibrary(library, json);
  if (ranks !== undefined) library.model.bpe_ranks = ranks;
  correctAddedTokens(library);
  const specials = specialIds(library);
  return {
    vocab,
    encode: (text, options) => encode(library, text, options?.specials ?? false, vocab, path),
    decode: (ids, options) => decode(library, options?.skipSpecials === true ? ids.filter((id) => !specials.has(id)) : ids),
    chat: (messages, options) => template?.(messages, options?.addGenerationPrompt ?? false),
  };
}

function createTokenizer(json: TokenizerJson, path: string): LibraryTokenizer {
  try {
    return createLibraryTokenizer(json);
  } catch (cause) {
    throw new InputError({
      code: 'tokenizer_unsupported',
      what: `the tokenizer has a part that is not supported: ${(cause as Error).message}`,
      given: path,
      cause,
    });
  }
}

function encode(library: LibraryTokenizer, text: string, specials: boolean, vocab: number, path: string): number[] {
  // Half a surrogate pair is no character: where text has bytes, it is U+FFFD.
  const { ids, tokens } = library.encode(text.replace(/\p{Surrogate}/gu, '\uFFFD'), { add_special_tokens: specials });
  return ids.map((id, index) => {
    if (id !== undefined && id < vocab) return id;
    const token = JSON.stringify(tokens[index]);
    throw new InputError({
      code: 'token_range',
      what:
        id === undefined
          ? `token ${token} is not in the vocabulary`
          : `token ${token} has id ${id}, outside the model's vocab_size ${vocab}`,
      given: path,
      hint: 'use the tokenizer.json that belongs to the model',
    });
  });
}

/** The library takes no empty list and reads an unknown id as the unknown token; both decode to nothing. */
function decode(library: LibraryTokenizer, ids: readonly number[]): string {
  const known = ids.filter((id) => library.id_to_token(id) !== undefined);
  if (known.length === 0) return '';
  return library.decode(known, { skip_special_tokens: false, clean_up_tokenization_spaces: false });
}

/** A tokenizer for a model that comes without one: it says so when it is used. */
export function missingTokenizer(vocab: number, facts: { what: string; given: string; hint: string }): Tokenizer {
  const fail = (): never => {
    throw new InputError({ code: 'tokenizer_missing', ...facts });
  };
  return { vocab, encode: fail, decode: fail, chat: fail };
}
