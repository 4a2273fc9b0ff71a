/**
 * The config that a GGUF file's metadata describes (names: gguf-py/gguf/constants.py of github.com/ggml-org/llama.cpp). As
 * with config.json, what would change the mathematics and is not computed here is refused.
 */
import { at } from '../../errors.js';
import type { ModelConfig } from '../config.js';
import { FAMILIES } from '../families.js';
import type { Family, GgufLayout } from '../families.js';
import { decimal, flagPerLayer, ggufKeys, integer, sameForAll, text } from './rules.js';
import type { GgufKeys, KeyRule } from './rules.js';
import { readGgufRope } from './rope.js';
import type { GgufFile } from './read.js';
import { MAX_HEAD_DIM, MAX_HEADS, MAX_LAYERS, MAX_POSITIONS, MAX_VOCAB, MAX_WIDTH } from '../limits.js';
import { showText, showValue } from '../show-name.js';

export interface GgufConfig {
  readonly family: Family;
  readonly layout: GgufLayout;
  readonly config: ModelConfig;
  /** Tokens that end a text, a turn or a message. */
  readonly endTokens: readonly number[];
}

/** Keys without architecture that must have this value or be absent. */
const FILE_KEYS = [
  { key: 'general.type', value: 'model', why: 'only whole models are supported' },
  { key: 'split.count', value: 1, why: 'a model in several files is not supported; llama-gguf-split --merge makes one of them' },
] as const;

/** Keys of an architecture that would add something that is not computed here, unless they have this value. */
const NEUTRAL_KEYS = [
  { key: 'expert_count', value: 0 },
  { key: 'attention.causal', value: true },
  { key: 'use_parallel_residual', value: false },
  { key: 'attention.scale', value: 0 },
  { key: 'attention.temperature_scale', value: 0 },
  { key: 'attention.clamp_kqv', value: 0 },
  { key: 'attention.max_alibi_bias', value: 0 },
  { key: 'attn_logit_softcapping', value: 0 },
  { key: 'final_logit_softcapping', value: 0 },
  { key: 'logit_scale', value: 1 },
  { key: 'residual_scale', value: 1 },
  { key: 'embedding_scale', value: 1 },
  { key: 'rope.scale_linear', value: 1 },
  { key: 'rope.scaling.alpha', value: 0 },
  { key: 'rope.scaling.yarn_ext_factor', value: 1 },
  { key: 'rope.scaling.yarn_log_multiplier', value: 0 },
] as const;

const END_TOKENS = ['eos', 'eot', 'eom'].map((name) => `tokenizer.ggml.${name}_token_id`);

/** @throws InputError naming the key that is missing, wrong or not supported */
export function readGgufConfig(file: GgufFile): GgufConfig {
  const keys = ggufKeys(file.metadata, file.path);
  for (const row of FILE_KEYS) requireValue(file, keys, row.key, row.value, row.why);
  const architecture = keys.required('general.architecture', text);
  const { family, layout } = findFamily(keys, architecture);
  for (const row of NEUTRAL_KEYS)
    requireValue(file, keys, `${architecture}.${row.key}`, row.value, `for ${architecture} it is not supported`);
  return {
    family,
    layout,
    config: readSizes(file, keys, family, architecture),
    endTokens: [...new Set(END_TOKENS.flatMap((key) => keys.optional(key, integer(0, MAX_VOCAB)) ?? []))],
  };
}

function requireValue(file: GgufFile, keys: GgufKeys, key: string, value: string | number | boolean, why: string): void {
  const given = file.metadata.get(key);
  if (given !== undefined && given !== value) throw keys.fail(`key ${key} is ${showValue(given)}: ${why}`, `absent, or ${value}`);
}

/** A file says `llama` for several families: those with a window of their own are told apart by it. */
function findFamily(keys: GgufKeys, architecture: string): { family: Family; layout: GgufLayout } {
  const rows = FAMILIES.flatMap((family) => (family.gguf === undefined ? [] : [{ family, layout: family.gguf }]));
  const fitting = rows.filter(({ layout }) => layout.architecture === architecture);
  if (fitting.length === 0)
    throw keys.fail(
      `unsupported general.architecture ${showText(architecture)}`,
      `one of: ${[...new Set(rows.map(({ layout }) => layout.architecture))].join(', ')}`,
    );
  const windowed = readWindow(keys, architecture) !== null;
  return fitting.find(({ family }) => (family.slidingWindow !== 'none') === windowed) ?? at(fitting, 0);
}

function readSizes(file: GgufFile, keys: GgufKeys, family: Family, architecture: string): ModelConfig {
  const size = <T>(name: string, rule: KeyRule<T>): T => keys.required(`${architecture}.${name}`, rule);
  const layers = size('block_count', integer(1, MAX_LAYERS));
  const hidden = size('embedding_length', integer(1, MAX_WIDTH));
  const heads = readHeads(keys, architecture, layers, hidden);
  const maxPositions = size('context_length', integer(1, MAX_POSITIONS));
  return {
    family: family.name,
    layers,
    hidden,
    intermediate: size('feed_forward_length', sameForAll(integer(1, MAX_WIDTH), layers)),
    ...heads,
    vocab: keys.optional(`${architecture}.vocab_size`, integer(1, MAX_VOCAB)) ?? embeddingRows(file, keys),
    maxPositions,
    rmsNormEps: size('attention.layer_norm_rms_epsilon', decimal(0, true)),
    ...readGgufRope(file, keys, architecture, { ...heads, maxPositions }),
    tied: !file.tensors.has('output.weight'),
    attentionBias: file.tensors.has('blk.0.attn_q.bias'),
    mlpBias: file.tensors.has('blk.0.ffn_down.bias'),
    windows: readWindows(keys, family, architecture, layers),
    // llama.cpp leaves the rotary embedding out of every fourth layer (src/models/smollm3.cpp); no key says so.
    noRopeLayers: family.noRopeLayers === true ? Array.from({ length: Math.floor(layers / 4) }, (_, i) => 4 * i + 3) : [],
  };
}

function readHeads(keys: GgufKeys, architecture: string, layers: number, hidden: number) {
  const name = (key: string): string => `${architecture}.attention.${key}`;
  const queryHeads = keys.required(name('head_count'), sameForAll(integer(1, MAX_HEADS), layers));
  const kvHeads = keys.optional(name('head_count_kv'), sameForAll(integer(1, MAX_HEADS), layers)) ?? queryHeads;
  if (queryHeads % kvHeads !== 0)
    throw keys.fail(
      `key ${name('head_count')} ${queryHeads} is not a multiple of ${name('head_count_kv')} ${kvHeads}`,
      'the same number of query heads for each KV head',
    );
  const headDim = keys.optional(name('key_length'), integer(1, MAX_HEAD_DIM)) ?? hidden / queryHeads;
  if (!Number.isInteger(headDim))
    throw keys.fail(
      `key ${architecture}.embedding_length ${hidden} is not a multiple of ${name('head_count')} ${queryHeads}`,
      `heads of one size, or ${name('key_length')}`,
    );
  const valueDim = keys.optional(name('value_length'), integer(1, MAX_HEAD_DIM)) ?? headDim;
  if (valueDim !== headDim) throw keys.fail(`key ${name('value_length')} is ${valueDim} and keys have ${headDim}`, 'the same for both');
  if (headDim % 2 !== 0 || headDim > MAX_HEAD_DIM)
    throw keys.fail(`heads of ${headDim} elements are not supported`, `an even number, for rope, up to ${MAX_HEAD_DIM}`);
  return { queryHeads, kvHeads, headDim };
}

function embeddingRows(file: GgufFile, keys: GgufKeys): number {
  const rows = file.tensors.get('token_embd.weight')?.shape[0];
  if (rows === undefined) throw keys.fail('missing tensor token_embd.weight', 'a whole model');
  if (rows > MAX_VOCAB) throw keys.fail(`tensor token_embd.weight has ${rows} rows`, `at most ${MAX_VOCAB}`);
  return rows;
}

/** Tokens that a head sees at most; null where there is no such window. */
function readWindow(keys: GgufKeys, architecture: string): number | null {
  return keys.optional(`${architecture}.attention.sliding_window`, integer(0, MAX_POSITIONS)) || null;
}

function readWindows(keys: GgufKeys, family: Family, architecture: string, layers: number): readonly (number | null)[] {
  const window = readWindow(keys, architecture);
  const patternKey = `${architecture}.attention.sliding_window_pattern`;
  if (window === null || family.slidingWindow === 'every') return Array.from({ length: layers }, () => window);
  if (family.slidingWindow === 'none')
    throw keys.fail(`key ${architecture}.attention.sliding_window: a window is not supported for ${architecture}`, 'absent, or 0');
  return keys.required(patternKey, flagPerLayer(layers)).map((slides) => (slides ? window : null));
}
