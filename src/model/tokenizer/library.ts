/**
 * The one door to @huggingface/tokenizers. Its declarations do not resolve under Node's own module rules, so what is
 * used of it is described here.
 */
import * as library from '@huggingface/tokenizers';

/** What a part was made from: its entry of tokenizer.json. */
interface PartConfig {
  readonly type: string;
}

export interface LibraryNormalizer {
  readonly config: PartConfig;
  /** The parts of a `Sequence`. */
  readonly normalizers?: readonly LibraryNormalizer[];
  readonly pattern?: RegExp;
  normalize: (text: string) => string;
}

export interface LibraryPreTokenizer {
  /** The parts of a `Sequence`. */
  readonly tokenizers?: readonly LibraryPreTokenizer[];
  pattern?: RegExp;
  pre_tokenize_text: (text: string, options?: { readonly section_index?: number }) => string[];
}

export interface LibraryDecoder {
  readonly config: PartConfig;
  /** The parts of a `Sequence`. */
  readonly decoders?: readonly LibraryDecoder[];
  readonly pattern?: RegExp;
  decode_chain: (tokens: string[]) => string[];
}

export interface LibraryModel {
  /** Merges (the JSON text of a pair) and their ranks: the lowest is merged first, and of equal ones the leftmost. */
  bpe_ranks: ReadonlyMap<string, number>;
  fuse_unk: boolean;
  /** Texts of tokens by id, added tokens included. */
  readonly vocab: string[];
  readonly unk_token?: string;
  encode: (words: string[]) => string[];
}

export interface LibraryAddedToken {
  readonly id: number;
  readonly content: string;
  readonly special: boolean;
  readonly normalized: boolean;
  lstrip: boolean;
  rstrip: boolean;
}

/** Cuts a text at the added tokens in it. */
export interface LibrarySplitter {
  readonly split: (text: string) => string[];
}

export interface LibraryTokenizer {
  readonly added_tokens: readonly LibraryAddedToken[];
  /** By content and by normalized content. */
  readonly added_tokens_map: ReadonlyMap<string, LibraryAddedToken>;
  /** For text as it is, and for text that has been normalized. */
  splitter_unnormalized: LibrarySplitter;
  splitter_normalized: LibrarySplitter;
  readonly normalizer: LibraryNormalizer | null;
  readonly pre_tokenizer: LibraryPreTokenizer | null;
  readonly model: LibraryModel;
  readonly decoder: LibraryDecoder | null;
  encode(text: string, options: { add_special_tokens: boolean }): { ids: (number | undefined)[]; tokens: string[] };
  decode(ids: number[], options: { skip_special_tokens: boolean; clean_up_tokenization_spaces: boolean }): string;
  id_to_token(id: number): string | undefined;
}

type Constructor = new (tokenizer: object, config: object) => LibraryTokenizer;

/** Builds a tokenizer from a parsed tokenizer.json. @throws Error for a part the library does not know. */
export function createLibraryTokenizer(tokenizer: object): LibraryTokenizer {
  const { Tokenizer } = library as unknown as { Tokenizer: Constructor };
  return new Tokenizer(tokenizer, {});
}
