/** What a tokenizer.json must be before the library sees it: a BPE model whose vocabulary, merges and parts fit together. */
import { z } from 'zod';
import { InputError } from '../../errors.js';
import { showText, showValue } from '../show-name.js';
import { checkPart, PART_KINDS } from './parts.js';
import type { Part } from './parts.js';

/** Far above any vocabulary; the library makes an array of this length at most. */
const MAX_TOKENS = 1 << 24;
/** Added tokens are searched for in every text: what is read of them is bounded, far above any model's. */
const MAX_ADDED_TOKENS = 1 << 16;
const MAX_ADDED_CHARACTERS = 1 << 20;
/** A token of n characters has at most n - 1 merges that make it, and tokens have a few characters. */
const MAX_MERGES_PER_TOKEN = 16;

const id = z.int().min(0).max(MAX_TOKENS);
/** The same rule without a schema's cost, for vocabularies of 100,000 tokens and more. */
const isId = (value: unknown): value is number => Number.isInteger(value) && (value as number) >= 0 && (value as number) <= MAX_TOKENS;

const addedTokenSchema = z.looseObject({
  id,
  content: z.string().max(1024),
  special: z.boolean().optional(),
  single_word: z.boolean().optional(),
  lstrip: z.boolean().optional(),
  rstrip: z.boolean().optional(),
  normalized: z.boolean().optional(),
});

const tokenizerSchema = z.looseObject({
  added_tokens: z.array(addedTokenSchema).max(MAX_ADDED_TOKENS).nullish(),
  model: z.looseObject({
    type: z.string().optional(),
    dropout: z.number().nullish(),
    unk_token: z.string().nullish(),
    continuing_subword_prefix: z.string().nullish(),
    end_of_word_suffix: z.string().nullish(),
    fuse_unk: z.boolean().nullish(),
    byte_fallback: z.boolean().nullish(),
    ignore_merges: z.boolean().nullish(),
    vocab: z.unknown(),
    merges: z.unknown(),
  }),
});

export type AddedToken = Readonly<z.infer<typeof addedTokenSchema>>;

/** A tokenizer.json that has been checked; only what is known of it is kept. */
export interface TokenizerJson {
  readonly added_tokens: readonly AddedToken[];
  readonly normalizer: Part | null;
  readonly pre_tokenizer: Part | null;
  readonly post_processor: Part | null;
  readonly decoder: Part | null;
  readonly model: {
    readonly type: 'BPE';
    readonly vocab: Readonly<Record<string, number>>;
    readonly merges: readonly (readonly [string, string])[];
    readonly unk_token: string | null | undefined;
    readonly fuse_unk: boolean | null | undefined;
    readonly byte_fallback: boolean | null | undefined;
    readonly ignore_merges: boolean | null | undefined;
  };
}

type Fail = (what: string, expected?: string) => InputError;

/**
 * The parsed tokenizer.json, checked for a model of `modelVocab` tokens; `name` says where it is from.
 * @throws InputError naming the token, merge or part at fault.
 */
export function checkTokenizerJson(
  json: Readonly<Record<string, unknown>>,
  modelVocab: number,
  path: string,
  name = 'tokenizer.json',
): TokenizerJson {
  const fail: Fail = (what, expected = 'the tokenizer that belongs to the model') =>
    new InputError({ code: 'tokenizer_invalid', what: `${name}: ${what}`, given: path, expected });
  if (json['model'] === undefined || json['model'] === null) throw fail('it has no model');
  const parsed = tokenizerSchema.safeParse(json);
  if (!parsed.success) throw fail(parsed.error.issues.map((issue) => `${issue.path.join('.')}: ${issue.message}`).join('; '));
  const { model, added_tokens: added } = parsed.data;
  checkModelKind(model, fail);
  const { vocab, tokens } = checkVocab(model.vocab, modelVocab, fail);
  if (typeof model.unk_token === 'string' && !vocab.has(model.unk_token))
    throw fail(`unk_token ${showText(model.unk_token)} is not in the vocabulary`);
  const merges = checkMerges(model.merges, vocab, fail);
  const addedTokens = checkAddedTokens(added ?? [], vocab, tokens, fail);
  const part = (kind: keyof typeof PART_KINDS): Part | null => checkPart(PART_KINDS[kind], json[kind], fail);
  const post = part('post_processor');
  checkTemplates(post, (token) => vocab.get(token) ?? addedTokens.find(({ content }) => content === token)?.id, fail);
  return {
    added_tokens: addedTokens,
    normalizer: part('normalizer'),
    pre_tokenizer: part('pre_tokenizer'),
    post_processor: post,
    decoder: part('decoder'),
    model: {
      type: 'BPE',
      vocab: model.vocab as Readonly<Record<string, number>>,
      merges,
      unk_token: model.unk_token,
      fuse_unk: model.fuse_unk,
      byte_fallback: model.byte_fallback,
      ignore_merges: model.ignore_merges,
    },
  };
}

function checkModelKind(model: z.infer<typeof tokenizerSchema>['model'], fail: Fail): void {
  // Files of older versions of the tokenizers library name no type.
  const { type = 'BPE' } = model;
  if (type !== 'BPE') throw fail(`unsupported tokenizer model ${showText(type)}`, 'BPE');
  if (model.continuing_subword_prefix) throw fail('a continuing_subword_prefix is not supported', 'none');
  if (model.end_of_word_suffix) throw fail('an end_of_word_suffix is not supported', 'none');
  if (model.dropout) throw fail(`model.dropout ${model.dropout} would make ids random`, 'null');
}

function checkVocab(
  raw: unknown,
  modelVocab: number,
  fail: Fail,
): { vocab: ReadonlyMap<string, number>; tokens: readonly (string | undefined)[] } {
  if (typeof raw !== 'object' || raw === null || Array.isArray(raw)) throw fail('model.vocab must be an object of tokens and ids');
  const vocab = new Map<string, number>();
  const tokens: (string | undefined)[] = [];
  for (const [token, tokenId] of Object.entries(raw as Readonly<Record<string, unknown>>)) {
    if (!isId(tokenId)) throw fail(`token ${showText(token)} must have an id from 0 to ${MAX_TOKENS}, got ${showValue(tokenId)}`);
    // Added tokens may lie outside, as padding tokens of fine-tunes do: they fail when they are used.
    if (tokenId >= modelVocab) throw fail(`token ${showText(token)} has id ${tokenId}, outside the model's vocab_size ${modelVocab}`);
    const other = tokens[tokenId];
    if (other !== undefined) throw fail(`tokens ${showText(other)} and ${showText(token)} have the same id ${tokenId}`);
    vocab.set(token, tokenId);
    tokens[tokenId] = token;
  }
  return { vocab, tokens };
}

/** Merges as pairs: older files write `a b`, newer ones `["a", "b"]`. Their parts and results must be tokens. */
function checkMerges(raw: unknown, vocab: ReadonlyMap<string, number>, fail: Fail): [string, string][] {
  if (!Array.isArray(raw)) throw fail('model.merges must be a list of pairs');
  if (raw.length > MAX_MERGES_PER_TOKEN * vocab.size)
    throw fail(`${raw.length} merges are too many for ${vocab.size} tokens`, `at most ${MAX_MERGES_PER_TOKEN * vocab.size}`);
  return raw.map((merge: unknown, index) => {
    const pair: unknown = typeof merge === 'string' ? merge.split(' ') : merge;
    if (!Array.isArray(pair) || pair.length !== 2 || !pair.every((half) => typeof half === 'string'))
      throw fail(`merge ${index} (${typeof merge === 'string' ? showText(merge) : showValue(merge)}) is not a pair`);
    const [left, right] = pair as [string, string];
    const lacking = [left, right, left + right].find((token) => !vocab.has(token));
    if (lacking !== undefined)
      throw fail(`merge ${index} (${showText(`${left} ${right}`)}): ${showText(lacking)} is not in the vocabulary`);
    return [left, right];
  });
}

/** An added token must not contradict the vocabulary or another: which of the two a text means could not be told. */
function checkAddedTokens(
  added: readonly AddedToken[],
  vocab: ReadonlyMap<string, number>,
  tokens: readonly (string | undefined)[],
  fail: Fail,
): AddedToken[] {
  const contents = new Map<string, number>();
  const ids = new Map<number, string>();
  for (const { id: tokenId, content, single_word: singleWord } of added) {
    const name = `added token ${showText(content)}`;
    if (singleWord === true) throw fail(`${name}: single_word is not supported`, 'false');
    const known = contents.get(content) ?? vocab.get(content);
    if (known !== undefined && known !== tokenId) throw fail(`${name} has id ${tokenId}, but also ${known}`);
    const other = ids.get(tokenId) ?? tokens[tokenId];
    if (other !== undefined && other !== content) throw fail(`${name} has id ${tokenId}, which is that of ${showText(other)}`);
    contents.set(content, tokenId);
    ids.set(tokenId, content);
  }
  const characters = added.reduce((sum, { content }) => sum + content.length, 0);
  if (characters > MAX_ADDED_CHARACTERS)
    throw fail(`the added tokens have ${characters} characters together`, `at most ${MAX_ADDED_CHARACTERS}`);
  return added.filter(({ content }) => content !== '');
}

/** Every special token of a template must be one token, and the one of that name. */
function checkTemplates(part: Part | null, idOf: (token: string) => number | undefined, fail: Fail): void {
  if (part?.type === 'Sequence') (part['processors'] as readonly Part[]).forEach((inner) => checkTemplates(inner, idOf, fail));
  if (part?.type !== 'TemplateProcessing') return;
  const specials = part['special_tokens'] as Readonly<Record<string, { readonly ids: readonly number[] }>>;
  for (const piece of part['single'] as readonly { readonly SpecialToken?: { readonly id: string } }[]) {
    const token = piece.SpecialToken?.id;
    if (token === undefined) continue;
    const ids = Object.hasOwn(specials, token) ? specials[token]?.ids : undefined;
    if (ids?.length !== 1 || ids[0] !== idOf(token))
      throw fail(`post_processor: ${showText(token)} stands for ids ${JSON.stringify(ids)}, but is token ${idOf(token)}`);
  }
}
