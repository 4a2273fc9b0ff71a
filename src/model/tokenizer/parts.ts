/**
 * The parts a tokenizer.json may have: those whose result is the same as in the tokenizers library that models are made
 * with (correct-library.ts sees to it). Any other is refused by name: leaving it out, or nearly right, would give other
 * ids without a word.
 */
import { z } from 'zod';
import { showText } from '../show-name.js';

/** Longest regular expression read, characters; the longest of well-known models has about 600. */
const MAX_REGEX = 8192;

const pattern = z.union([z.object({ String: z.string() }), z.object({ Regex: z.string().max(MAX_REGEX) })]);
/** What becomes of the text that a pattern matches. */
const behavior = z.enum(['Removed', 'Isolated', 'MergedWithPrevious', 'MergedWithNext', 'Contiguous']);
const flag = z.boolean();
const character = z.string().refine((text) => [...text].length === 1, 'one character is expected');

export type Pattern = z.infer<typeof pattern>;
export type Behavior = z.infer<typeof behavior>;

/** The parts of one kind, by type. A `Sequence` keeps its parts in `list`. */
interface PartKind {
  readonly name: string;
  readonly list: string;
  readonly types: Readonly<Record<string, z.ZodType>>;
}

const NORMALIZERS: PartKind = {
  name: 'normalizer',
  list: 'normalizers',
  types: {
    NFC: z.looseObject({}),
    NFD: z.looseObject({}),
    NFKC: z.looseObject({}),
    NFKD: z.looseObject({}),
    Lowercase: z.looseObject({}),
    Prepend: z.looseObject({ prepend: z.string() }),
    Replace: z.looseObject({ pattern, content: z.string() }),
  },
};

const PRE_TOKENIZERS: PartKind = {
  name: 'pre_tokenizer',
  list: 'pretokenizers',
  types: {
    ByteLevel: z.looseObject({ add_prefix_space: flag, use_regex: flag.optional() }),
    Digits: z.looseObject({ individual_digits: flag }),
    Metaspace: z.looseObject({
      replacement: character,
      prepend_scheme: z.enum(['always', 'first', 'never']).optional(),
      split: flag.optional(),
    }),
    Punctuation: z.looseObject({ behavior: behavior.optional() }),
    Split: z.looseObject({ pattern, behavior, invert: flag.optional() }),
  },
};

const templatePiece = z.union([
  z.object({ SpecialToken: z.looseObject({ id: z.string() }) }),
  z.object({ Sequence: z.looseObject({ id: z.literal('A') }) }),
]);

const POST_PROCESSORS: PartKind = {
  name: 'post_processor',
  list: 'processors',
  types: {
    ByteLevel: z.looseObject({}),
    TemplateProcessing: z.looseObject({
      single: z.array(templatePiece).max(64),
      special_tokens: z.record(z.string(), z.looseObject({ ids: z.array(z.int()) })),
    }),
  },
};

const DECODERS: PartKind = {
  name: 'decoder',
  list: 'decoders',
  types: {
    ByteLevel: z.looseObject({}),
    ByteFallback: z.looseObject({}),
    Fuse: z.looseObject({}),
    Metaspace: z.looseObject({ replacement: character, prepend_scheme: z.enum(['always', 'first', 'never']).optional() }),
    Replace: z.looseObject({ pattern, content: z.string() }),
    Strip: z.looseObject({ content: character, start: z.int().min(0), stop: z.int().min(0) }),
  },
};

export const PART_KINDS = {
  normalizer: NORMALIZERS,
  pre_tokenizer: PRE_TOKENIZERS,
  post_processor: POST_PROCESSORS,
  decoder: DECODERS,
} as const;

/** A part that has been checked, of any kind. */
export type Part = { readonly type: string } & Readonly<Record<string, unknown>>;

/** Sequences may hold sequences, but nobody's do so deeply. */
const MAX_DEPTH = 8;
const MAX_PARTS = 64;

const anyPart = z.looseObject({ type: z.string() });

/**
 * The part `raw` of a tokenizer.json; null for none.
 * @param fail makes the error for what is wrong with it.
 */
export function checkPart(kind: PartKind, raw: unknown, fail: (what: string, expected?: string) => Error, depth = 0): Part | null {
  if (raw === null || raw === undefined) return null;
  const named = anyPart.safeParse(raw);
  if (!named.success) throw fail(`${kind.name} must be an object with a type`);
  const part = named.data;
  if (part.type === 'Sequence') return { type: 'Sequence', [kind.list]: checkSequence(kind, part[kind.list], fail, depth) };
  const schema = Object.hasOwn(kind.types, part.type) ? kind.types[part.type] : undefined;
  if (schema === undefined) throw fail(`unsupported ${kind.name} ${showText(part.type)}`, `one of ${Object.keys(kind.types).join(', ')}`);
  const checked = schema.safeParse(part);
  if (checked.success) return checked.data as Part;
  const issue = checked.error.issues[0];
  throw fail(`${kind.name} ${part.type}: ${issue?.path.join('.')}: ${issue?.message}`);
}

function checkSequence(kind: PartKind, raw: unknown, fail: (what: string, expected?: string) => Error, depth: number): Part[] {
  if (!Array.isArray(raw)) throw fail(`${kind.name}: a Sequence must have a list of ${kind.list}`);
  if (raw.length > MAX_PARTS || depth >= MAX_DEPTH) throw fail(`${kind.name}: a Sequence of more parts than a tokenizer has`);
  return raw.map((item: unknown) => {
    const part = checkPart(kind, item, fail, depth + 1);
    if (part === null) throw fail(`${kind.name}: a Sequence holds an empty part`);
    return part;
  });
}
