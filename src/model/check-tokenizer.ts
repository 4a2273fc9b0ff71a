/** What a tokenizer.json must be before the library sees it: a BPE model whose vocabulary and merges fit together. */
import { z } from 'zod';
import { InputError } from '../errors.js';

/** Far above any vocabulary; the library makes an array of this length at most. */
const MAX_TOKENS = 1 << 24;

const id = z.int().min(0).max(MAX_TOKENS);
/** The same rule without a schema's cost, for vocabularies of 100,000 tokens and more. */
const isId = (value: unknown): value is number => Number.isInteger(value) && (value as number) >= 0 && (value as number) <= MAX_TOKENS;
const part = z.looseObject({ type: z.string() }).nullable().default(null);

const tokenizerSchema = z.looseObject({
  added_tokens: z.array(z.looseObject({ id, content: z.string() })).default([]),
  normalizer: part,
  pre_tokenizer: part,
  post_processor: part,
  decoder: part,
  model: z.looseObject({
    type: z.string().optional(),
    continuing_subword_prefix: z.string().nullish(),
    vocab: z.unknown(),
    merges: z.unknown(),
  }),
});

/** The parsed tokenizer.json, checked for a model of `modelVocab` tokens. @throws InputError naming the token, merge or part at fault. */
export function checkTokenizerJson(json: Readonly<Record<string, unknown>>, modelVocab: number, path: string): object {
  const fail = (what: string, expected?: string): InputError =>
    new InputError({
      code: 'tokenizer_invalid',
      what: `tokenizer.json: ${what}`,
      given: path,
      ...(expected === undefined ? {} : { expected }),
    });
  if (json['model'] === undefined || json['model'] === null) throw fail('it has no model');
  const parsed = tokenizerSchema.safeParse(json);
  if (!parsed.success) throw fail(parsed.error.issues.map((issue) => `${issue.path.join('.')}: ${issue.message}`).join('; '));
  const { model } = parsed.data;
  // Files of older versions of the tokenizers library name no type.
  if ((model.type ?? 'BPE') !== 'BPE') throw fail(`unsupported tokenizer model ${JSON.stringify(model.type)}`, 'BPE');
  if (model.continuing_subword_prefix) throw fail('a continuing_subword_prefix is not supported', 'none');
  const vocab = checkVocab(model.vocab, modelVocab, fail);
  const merges = checkMerges(model.merges, vocab, fail);
  return { ...parsed.data, model: { ...model, type: 'BPE', merges } };
}

type Fail = (what: string, expected?: string) => InputError;

function checkVocab(raw: unknown, modelVocab: number, fail: Fail): ReadonlyMap<string, number> {
  if (typeof raw !== 'object' || raw === null || Array.isArray(raw)) throw fail('model.vocab must be an object of tokens and ids');
  const vocab = new Map<string, number>();
  const tokens = new Map<number, string>();
  for (const [token, tokenId] of Object.entries(raw as Readonly<Record<string, unknown>>)) {
    if (!isId(tokenId))
      throw fail(`token ${JSON.stringify(token)} must have an id from 0 to ${MAX_TOKENS}, got ${JSON.stringify(tokenId)}`);
    // Added tokens may lie outside, as padding tokens of fine-tunes do: they fail when they are used.
    if (tokenId >= modelVocab) throw fail(`token ${JSON.stringify(token)} has id ${tokenId}, outside the model's vocab_size ${modelVocab}`);
    const other = tokens.get(tokenId);
    if (other !== undefined) throw fail(`tokens ${JSON.stringify(other)} and ${JSON.stringify(token)} have the same id ${tokenId}`);
    vocab.set(token, tokenId);
    tokens.set(tokenId, token);
  }
  return vocab;
}

/** Merges as pairs: older files write `a b`, newer ones `["a", "b"]`. Their parts and results must be tokens. */
function checkMerges(raw: unknown, vocab: ReadonlyMap<string, number>, fail: Fail): [string, string][] {
  if (!Array.isArray(raw)) throw fail('model.merges must be a list of pairs');
  return raw.map((merge: unknown, index) => {
    const pair: unknown = typeof merge === 'string' ? merge.split(' ') : merge;
    if (!Array.isArray(pair) || pair.length !== 2 || !pair.every((half) => typeof half === 'string'))
      throw fail(`merge ${index} (${JSON.stringify(merge)}) is not a pair`);
    const [left, right] = pair as [string, string];
    const lacking = [left, right, left + right].find((token) => !vocab.has(token));
    if (lacking !== undefined)
      throw fail(`merge ${index} (${JSON.stringify(`${left} ${right}`)}): ${JSON.stringify(lacking)} is not in the vocabulary`);
    return [left, right];
  });
}
