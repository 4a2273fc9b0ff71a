/** The rotary embedding that a config.json asks for, in either style of keys. */
import { z } from 'zod';
import { InputError } from '../errors.js';
import type { ModelConfig, RopeScaling } from './config.js';
import type { Family } from './families.js';
import { DEFAULT_ROPE_THETA } from './limits.js';

type Raw = Readonly<Record<string, unknown>>;

const factor = z.number({ error: ({ input }) => (input === undefined ? 'is missing' : 'must be a number') }).positive('must be positive');
const positions = z.int({ error: ({ input }) => (input === undefined ? 'is missing' : 'must be an integer') }).positive('must be positive');

/** Absent, null and 0 are one: transformers asks whether such a number is true. */
const optional = z
  .number('must be a number')
  .nonnegative('must not be negative')
  .nullish()
  .transform((value) => value || undefined);

interface YarnScales {
  readonly factor: number;
  readonly attention_factor: number | undefined;
  readonly mscale: number | undefined;
  readonly mscale_all_dim: number | undefined;
}

/** `attention_factor`, else from the two scales, else 0.1 ln(factor) + 1, as transformers has it. */
function yarnAttentionFactor(keys: YarnScales): number {
  const scaled = (by: number): number => (keys.factor <= 1 ? 1 : 0.1 * by * Math.log(keys.factor) + 1);
  if (keys.attention_factor !== undefined) return keys.attention_factor;
  if (keys.mscale !== undefined && keys.mscale_all_dim !== undefined) return scaled(keys.mscale) / scaled(keys.mscale_all_dim);
  return scaled(1);
}

/** One row per rope type: the keys it needs, and what they become. */
const ROPE_TYPES: Readonly<Record<string, z.ZodType<RopeScaling>>> = {
  default: z.looseObject({}).transform(() => ({ type: 'default' as const })),
  linear: z.looseObject({ factor }).transform((keys) => ({ type: 'linear' as const, factor: keys.factor })),
  llama3: z
    .looseObject({ factor, low_freq_factor: factor, high_freq_factor: factor, original_max_position_embeddings: positions })
    .refine((keys) => keys.high_freq_factor > keys.low_freq_factor, {
      error: 'must be greater than low_freq_factor',
      path: ['high_freq_factor'],
    })
    .transform((keys) => ({
      type: 'llama3' as const,
      factor: keys.factor,
      lowFreqFactor: keys.low_freq_factor,
      highFreqFactor: keys.high_freq_factor,
      originalPositions: keys.original_max_position_embeddings,
    })),
  yarn: z
    .looseObject({
      factor,
      attention_factor: optional,
      mscale: optional,
      mscale_all_dim: optional,
      beta_fast: optional,
      beta_slow: optional,
      original_max_position_embeddings: positions,
      truncate: z.boolean('must be true or false').nullable().default(true),
    })
    .transform((keys) => ({
      type: 'yarn' as const,
      factor: keys.factor,
      betaFast: keys.beta_fast ?? 32,
      betaSlow: keys.beta_slow ?? 1,
      originalPositions: keys.original_max_position_embeddings,
      truncate: keys.truncate === true,
      attentionFactor: yarnAttentionFactor(keys),
    })),
};

/**
 * Theta and scaling of a parsed config.json: `rope_parameters` (with `rope_theta` inside), or `rope_theta` beside
 * `rope_scaling` (whose type is under `rope_type` or, in older files, `type`). Where both are there they must agree, and
 * where neither is, theta is the family's.
 * @throws InputError for another rope type, for missing keys, and for partial rotation.
 */
export function readRope(raw: Raw, family: Family, source: string): Pick<ModelConfig, 'ropeTheta' | 'ropeScaling'> {
  const older = optionalObject(raw, 'rope_scaling', source);
  const newer = optionalObject(raw, 'rope_parameters', source);
  refusePartial([raw, older, newer], source);
  const scalings = [older, newer].filter((keys) => keys !== undefined).map((keys) => readScaling(completed(keys, raw), family, source));
  const thetas = [raw, newer, older].flatMap((keys) => keys?.['rope_theta'] ?? []);
  return {
    ropeTheta:
      agreed(
        'rope_theta',
        thetas.map((theta) => readTheta(theta, source)),
        source,
      ) ??
      family.ropeTheta ??
      DEFAULT_ROPE_THETA,
    ropeScaling: agreed('rope_scaling and rope_parameters', scalings, source) ?? { type: 'default' },
  };
}

function optionalObject(raw: Raw, key: string, source: string): Raw | undefined {
  const value = raw[key];
  if (value === undefined || value === null) return undefined;
  if (typeof value === 'object' && !Array.isArray(value)) return value as Raw;
  throw new InputError({ code: 'config_invalid', what: `config.json: ${key} must be an object or null`, given: source });
}

/**
 * With what may stand elsewhere: the positions before scaling are beside the rope parameters first, then in them; YaRN's are else
 * `max_position_embeddings`, and a factor of null is the ratio of the two. Llama 3's must be given: a guess would be silent.
 */
function completed(keys: Raw, raw: Raw): Raw {
  const yarn = (keys['rope_type'] ?? keys['type']) === 'yarn';
  const longest = raw['max_position_embeddings'];
  const original = raw['original_max_position_embeddings'] ?? keys['original_max_position_embeddings'] ?? (yarn ? longest : undefined);
  const ratio = typeof longest === 'number' && typeof original === 'number' ? longest / original : undefined;
  const factor = yarn && keys['factor'] === null ? ratio : keys['factor'];
  return { ...keys, original_max_position_embeddings: original, factor };
}

function refusePartial(places: readonly (Raw | undefined)[], source: string): void {
  const share = places.flatMap((keys) => keys?.['partial_rotary_factor'] ?? []).find((value) => value !== 1);
  if (share !== undefined)
    throw new InputError({
      code: 'rope_unsupported',
      what: `partial_rotary_factor ${JSON.stringify(share)} is not supported`,
      given: source,
      expected: 'rotation of the whole head (absent or 1)',
    });
}

function readScaling(keys: Raw, family: Family, source: string): RopeScaling {
  // Phi-3's first configs call their scaling `yarn` or `su`; its factors per frequency tell it (configuration_phi3.py).
  const type = keys['long_factor'] ? 'longrope' : (keys['rope_type'] ?? keys['type'] ?? 'default');
  const types = family.ropeTypes ?? Object.keys(ROPE_TYPES);
  const schema = typeof type === 'string' && types.includes(type) ? ROPE_TYPES[type] : undefined;
  const nested = Object.values(keys).some((value) => typeof value === 'object' && value !== null && !Array.isArray(value));
  if (schema === undefined || nested)
    throw new InputError({
      code: 'rope_unsupported',
      what: nested ? 'rope parameters per layer type are not supported' : `unsupported rope type ${JSON.stringify(type)}`,
      given: source,
      expected: `one of: ${types.join(', ')}`,
    });
  const parsed = schema.safeParse(keys);
  if (parsed.success) return parsed.data;
  const problems = parsed.error.issues.map((issue) => `${issue.path.join('.')} ${issue.message}`);
  throw new InputError({
    code: 'rope_invalid',
    what: `config.json: rope type ${JSON.stringify(type)}: ${problems.join(', ')}`,
    given: source,
  });
}

function readTheta(theta: unknown, source: string): number {
  if (typeof theta === 'number' && theta > 1 && Number.isFinite(theta)) return theta;
  throw new InputError({
    code: 'config_invalid',
    what: `config.json: rope_theta must be a number above 1, got ${JSON.stringify(theta)}`,
    given: source,
  });
}

/** The one value that all places give; undefined when none gives any. */
function agreed<T>(what: string, values: readonly T[], source: string): T | undefined {
  if (new Set(values.map((value) => JSON.stringify(value))).size > 1)
    throw new InputError({
      code: 'rope_conflict',
      what: `config.json gives ${what} twice, and they differ: ${values.map((value) => JSON.stringify(value)).join(' and ')}`,
      given: source,
      expected: 'one of them, or the same in both',
    });
  return values[0];
}
