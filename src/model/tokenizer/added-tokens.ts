/**
 * Added tokens (`<|im_start|>`) as the tokenizers library finds and writes them, where @huggingface/tokenizers differs:
 * which are found first, what is white space beside them, and how a normalized one is decoded.
 */
import type { LibrarySplitter, LibraryTokenizer } from './library.js';

/** Corrects how `library` finds added tokens in a text and writes them. */
export function correctAddedTokens(library: LibraryTokenizer): void {
  const { normalizer } = library;
  const takes = takenSpace(library);
  if (normalizer !== null) {
    writeNormalized(library, (text) => normalizer.normalize(text));
    library.splitter_unnormalized = stripping(library.splitter_unnormalized, takes);
    library.splitter_normalized = stripping(library.splitter_normalized, takes);
  } else library.splitter_unnormalized = plainTokensFirst(library, takes);
}

/** Ids that are left out when special tokens are skipped: one that is written in another way than it is called is not. */
export function specialIds(library: LibraryTokenizer): ReadonlySet<number> {
  const special = library.added_tokens.filter((token) => token.special && library.model.vocab[token.id] === token.content);
  return new Set(special.map((token) => token.id));
}

/** Tokens that are to be found in normalized text come second, also where nothing normalizes. */
function plainTokensFirst(library: LibraryTokenizer, takes: TakenSpace): LibrarySplitter {
  const Splitter = library.splitter_unnormalized.constructor as new (contents: readonly string[]) => LibrarySplitter;
  const splitterOf = (normalized: boolean): LibrarySplitter => {
    const tokens = library.added_tokens.filter((token) => token.normalized === normalized);
    return stripping(new Splitter(tokens.map((token) => token.content)), takes);
  };
  const [plain, others] = [splitterOf(false), splitterOf(true)];
  return { split: (text) => plain.split(text).flatMap((section) => (takes.has(section) ? [section] : others.split(section))) };
}

function writeNormalized(library: LibraryTokenizer, normalize: (text: string) => string): void {
  for (const token of library.added_tokens) if (token.normalized) library.model.vocab[token.id] = normalize(token.content);
}

/** By the text of an added token: whether it takes the white space before it and after it. */
type TakenSpace = ReadonlyMap<string, { readonly left: boolean; readonly right: boolean }>;

/** Takes the task from the library, which means JavaScript's white space; here it is Unicode's. */
function takenSpace(library: LibraryTokenizer): TakenSpace {
  const takes = new Map([...library.added_tokens_map].map(([text, { lstrip, rstrip }]) => [text, { left: lstrip, right: rstrip }]));
  for (const token of library.added_tokens) token.lstrip = token.rstrip = false;
  return takes;
}

/** What `splitter` cuts, without the white space that tokens take; after them, tokens that are white space go with it. */
function stripping(splitter: LibrarySplitter, takes: TakenSpace): LibrarySplitter {
  if (![...takes.values()].some(({ left, right }) => left || right)) return splitter;
  const strip = (text: string): string[] => {
    const sections = splitter.split(text);
    let taking = false;
    return sections.map((section, index) => {
      const token = takes.get(section);
      const before = token === undefined && takes.get(sections[index + 1] ?? '')?.left === true;
      const rest = trim(section, taking, before);
      if (taking && rest === '') return rest;
      taking = token?.right ?? false;
      return token === undefined ? rest : section;
    });
  };
  return { split: strip };
}

function trim(text: string, atStart: boolean, atEnd: boolean): string {
  const isSpace = (index: number): boolean => /^\p{White_Space}$/u.test(text.charAt(index));
  let [start, end] = [0, text.length];
  while (atStart && start < end && isSpace(start)) start++;
  while (atEnd && end > start && isSpace(end - 1)) end--;
  return text.slice(start, end);
}
