/**
 * The one door to @huggingface/tokenizers. Its declarations do not resolve under Node's own module rules, so what is
 * used of it is described here.
 */
import * as library from '@huggingface/tokenizers';

export interface LibraryDecoder {
  readonly config: { readonly type: string };
  /** The parts of a `Sequence`. */
  readonly decoders?: readonly LibraryDecoder[];
  decode_chain: (tokens: string[]) => string[];
}

export interface LibraryTokenizer {
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
