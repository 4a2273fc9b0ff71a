/**
 * config.json and generation_config.json as plain data. Both styles of keys are read: `rope_theta` with `rope_scaling`,
 * as in most published checkpoints, and `rope_parameters`, as transformers 5 writes. A setting that would change the
 * mathematics and is not computed here is refused: a model is loaded exactly or not at all.
 */
import { z } from 'zod';
import { InputError } from '../errors.js';
import type { ModelConfig } from './config.js';
import { FAMILIES } from './families.js';
import type { Family } from './families.js';
import { findFile, readJsonObject } from './files.js';
import { MAX_HEAD_DIM, MAX_HEADS, MAX_LAYERS, MAX_POSITIONS, MAX_VOCAB, MAX_WIDTH } from './limits.js';
import { readNoRopeLayers, readWindows } from './read-layers.js';
import { readRope } from './read-rope.js';

/** Largest config.json read, bytes: real ones are a few kilobytes. */
const MAX_CONFIG_BYTES = 1 << 20;

/** What transformers' LlamaConfig takes when a key is absent. */
const DEFAULTS = { rmsNormEps: 1e-6, maxPositions: 2048, activation: 'silu' } as const;

export interface ConfigFile {
  readonly family: Family;
  readonly config: ModelConfig;
  /** `eos_token_id`, one or several; empty when there is none. */
  readonly endTokens: readonly number[];
}

/** Reads and checks `config.json` in a model folder. @throws InputError naming every wrong key, or what is not supported. */
export function readConfig(folder: string): ConfigFile {
  const path = findFile(folder, 'config.json');
  if (path === undefined)
    throw new InputError({
      code: 'config_missing',
      what: 'config.json not found in the folder',
      given: folder,
      expected: 'a model directory in the Hugging Face layout',
    });
  return parseConfig(readJsonObject(path, MAX_CONFIG_BYTES), path);
}

/** End tokens of generation_config.json; undefined when it has none. @throws InputError */
export function readGenerationEndTokens(folder: string): readonly number[] | undefined {
  const path = findFile(folder, 'generation_config.json');
  if (path === undefined) return undefined;
  const parsed = endTokenSchema.safeParse(readJsonObject(path, MAX_CONFIG_BYTES)['eos_token_id']);
  if (!parsed.success)
    throw new InputError({
      code: 'config_invalid',
      what: 'generation_config.json: eos_token_id must be a token id or a list of them',
      given: path,
    });
  return parsed.data.length > 0 ? parsed.data : undefined;
}

/** The config that a parsed config.json describes; `source` is named in messages. */
export function parseConfig(given: Readonly<Record<string, unknown>>, source: string): ConfigFile {
  const family = findFamily(given, source);
  const raw = { ...family.defaults, ...given };
  refuseUnsupported(family, raw, source);
  const parsed = configSchema.safeParse(raw);
  if (!parsed.success)
    throw invalid(
      parsed.error.issues.map((issue) => `${issue.path.join('.')} ${issue.message}`),
      source,
    );
  const keys = parsed.data;
  const kvHeads = keys.num_key_value_heads ?? keys.num_attention_heads;
  const config: ModelConfig = {
    family: family.name,
    layers: keys.num_hidden_layers,
    hidden: keys.hidden_size,
    intermediate: keys.intermediate_size,
    queryHeads: keys.num_attention_heads,
    kvHeads,
    headDim: keys.head_dim ?? keys.hidden_size / keys.num_attention_heads,
    vocab: keys.vocab_size,
    maxPositions: keys.max_position_embeddings ?? DEFAULTS.maxPositions,
    rmsNormEps: keys.rms_norm_eps ?? DEFAULTS.rmsNormEps,
    ...readRope(raw, family, source),
    tied: keys.tie_word_embeddings ?? false,
    attentionBias: keys.attention_bias ?? false,
    mlpBias: keys.mlp_bias ?? false,
    windows: readWindows(family, raw, keys.num_hidden_layers, source),
    noRopeLayers: readNoRopeLayers(family, raw, keys.num_hidden_layers, source),
  };
  const problems = headProblems(config, keys.head_dim);
  if (problems.length > 0) throw invalid(problems, source);
  return { family, config, endTokens: keys.eos_token_id };
}

function findFamily(raw: Readonly<Record<string, unknown>>, source: string): Family {
  const supported = FAMILIES.map((family) => family.name).join(', ');
  const type = raw['model_type'];
  if (type === undefined || type === null)
    throw new InputError({
      code: 'model_type_missing',
      what: 'config.json has no model_type',
      given: source,
      expected: `one of: ${supported}`,
    });
  const family = FAMILIES.find((row) => row.name === type);
  if (family === undefined)
    throw new InputError({
      code: 'model_type_unsupported',
      what: `unsupported model_type ${JSON.stringify(type)}`,
      given: source,
      expected: `one of: ${supported}`,
    });
  return family;
}

function refuseUnsupported(family: Family, raw: Readonly<Record<string, unknown>>, source: string): void {
  const refuse = (what: string, expected: string, hint?: string): never => {
    throw new InputError({ code: 'config_unsupported', what, given: source, expected, ...(hint === undefined ? {} : { hint }) });
  };
  for (const key of ['quantization_config', 'compression_config']) {
    const method = raw[key];
    if (method !== undefined && method !== null)
      refuse(
        `quantized checkpoints are not supported (${key}${quantMethod(method)})`,
        'weights in F32, F16 or BF16',
        'use the unquantized checkpoint',
      );
  }
  for (const key of family.mustBeOff) {
    const value = raw[key];
    if (value !== undefined && value !== null && value !== false)
      refuse(`config.json: ${key} ${JSON.stringify(value)} is not supported for ${family.name}`, `${key} absent or false`);
  }
  const activation = raw['hidden_act'] ?? DEFAULTS.activation;
  if (!family.activations.some((name) => name === activation))
    refuse(`unsupported hidden_act ${JSON.stringify(activation)} for ${family.name}`, `one of: ${family.activations.join(', ')}`);
}

function quantMethod(config: unknown): string {
  const method = z.object({ quant_method: z.string() }).safeParse(config);
  return method.success ? `, quant_method ${method.data.quant_method}` : '';
}

function headProblems(config: ModelConfig, headDim: number | null | undefined): string[] {
  const { queryHeads, kvHeads, hidden } = config;
  if (queryHeads % kvHeads !== 0) return [`num_attention_heads ${queryHeads} is not a multiple of num_key_value_heads ${kvHeads}`];
  if (!Number.isInteger(config.headDim))
    return [`hidden_size ${hidden} is not a multiple of num_attention_heads ${queryHeads}, and head_dim is absent`];
  if (config.headDim % 2 !== 0 || config.headDim > MAX_HEAD_DIM)
    return [
      `head_dim ${config.headDim}${headDim ? '' : ' (hidden_size / num_attention_heads)'} must be even, for rope, and at most ${MAX_HEAD_DIM}`,
    ];
  return [];
}

function invalid(problems: readonly string[], source: string): InputError {
  return new InputError({ code: 'config_invalid', what: problems.map((problem) => `config.json: ${problem}`).join('\n'), given: source });
}

const got = (input: unknown): string =>
  input === undefined
    ? 'is missing'
    : `got ${typeof input === 'object' ? JSON.stringify(input).slice(0, 80) : `${typeof input === 'string' ? 'the text ' : ''}${JSON.stringify(input)}`}`;

function checked<T>(rule: string, accepts: (value: unknown) => boolean): z.ZodType<T, T> {
  return z.custom<T>(accepts, {
    error: ({ input }) => (input === undefined ? got(input) : `must be ${rule}, ${got(input)}`),
  });
}

function positiveInteger(maximum: number): z.ZodType<number, number> {
  return checked(
    `a positive integer up to ${maximum}`,
    (value) => Number.isInteger(value) && (value as number) >= 1 && (value as number) <= maximum,
  );
}

const tokenId = z.int().min(0).max(MAX_VOCAB);

/** One id, a list of ids, or null: always a list. */
const endTokenSchema = z
  .union([tokenId, z.array(tokenId).max(1024)], { error: 'must be a token id or a list of them' })
  .nullish()
  .transform((ids) => (ids === null || ids === undefined ? [] : [ids].flat()));

const flag = checked<boolean>('true or false', (value) => typeof value === 'boolean').nullish();

const configSchema = z.looseObject({
  num_hidden_layers: positiveInteger(MAX_LAYERS),
  hidden_size: positiveInteger(MAX_WIDTH),
  intermediate_size: positiveInteger(MAX_WIDTH),
  num_attention_heads: positiveInteger(MAX_HEADS),
  num_key_value_heads: positiveInteger(MAX_HEADS).nullish(),
  head_dim: positiveInteger(MAX_HEAD_DIM).nullish(),
  vocab_size: positiveInteger(MAX_VOCAB),
  max_position_embeddings: positiveInteger(MAX_POSITIONS).nullish(),
  rms_norm_eps: checked<number>('a number from 0 to 1', (value) => typeof value === 'number' && value >= 0 && value <= 1).nullish(),
  tie_word_embeddings: flag,
  attention_bias: flag,
  mlp_bias: flag,
  eos_token_id: endTokenSchema,
});
