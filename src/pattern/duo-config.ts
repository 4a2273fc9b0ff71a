/**
 * `config.json` beside the TSV. Loaders read sink_size and recent_size from it and take them as the deployed window; some prefer
 * deploy_sink_size and deploy_recent_size. The published files hold all 45 settings of the reference's command line, and so do
 * ours, for readers that expect the keys; what has no meaning here is null.
 */
import { InputError } from '../errors.js';
import type { Pattern } from './schema.js';
import { MAX_WINDOW_TOKENS } from './schema.js';

export const CONFIG_NAME = 'config.json';

/** The reference's block of a block-sparse window, tokens. */
const REFERENCE_BLOCK = 128;

const EXPECTED = '{"sink_size": 64, "recent_size": 256}, in tokens';

type Json = Readonly<Record<string, unknown>>;

/** What a DuoAttention config.json says of a pattern. */
export interface DuoConfig {
  readonly modelName: string | undefined;
  readonly windows: Pattern['windows'];
  readonly raw: Json;
}

/** @throws InputError naming the setting that is missing or wrong */
export function parseDuoConfig(raw: unknown, given: string): DuoConfig {
  if (typeof raw !== 'object' || raw === null || Array.isArray(raw))
    throw new InputError({ code: 'pattern_config', what: 'the pattern config must be a JSON object', given, expected: EXPECTED });
  const config = raw as Json;
  const trained = { sink: tokens(config, 'sink_size', given), recent: tokens(config, 'recent_size', given) };
  const deployed = {
    sink: isGiven(config, 'deploy_sink_size') ? tokens(config, 'deploy_sink_size', given) : trained.sink,
    recent: isGiven(config, 'deploy_recent_size') ? tokens(config, 'deploy_recent_size', given) : trained.recent,
    block: 1,
  };
  const blocks = config['streaming_attn_implementation'] === 'blocksparse';
  return {
    modelName: typeof config['model_name'] === 'string' ? config['model_name'].replace(/^models\//, '') : undefined,
    windows: { ...(blocks ? { calibrated: { ...trained, block: REFERENCE_BLOCK } } : {}), deployed },
    raw: config,
  };
}

function isGiven(config: Json, key: string): boolean {
  return config[key] !== undefined && config[key] !== null;
}

function tokens(config: Json, key: string, given: string): number {
  const value = config[key];
  const least = key.endsWith('recent_size') ? 1 : 0;
  const problem = problemOf(key, value, least);
  if (problem === undefined) return value as number;
  throw new InputError({
    code: 'pattern_config',
    what: problem,
    given,
    expected: EXPECTED,
    hint: '--sink and --recent name the window instead',
  });
}

function problemOf(key: string, value: unknown, least: number): string | undefined {
  if (value === undefined) return `the pattern config has no ${key}`;
  if (typeof value !== 'number') return `${key} must be an integer, got ${value === null ? 'null' : `a ${typeof value}`}`;
  if (!Number.isInteger(value)) return `${key} must be an integer, got ${value}`;
  if (value < least)
    return least === 0
      ? `${key} must be a non-negative integer, got ${value}`
      : `${key} must be at least 1 (the current token), got ${value}`;
  return value > MAX_WINDOW_TOKENS ? `${key} must be at most ${MAX_WINDOW_TOKENS}, got ${value}` : undefined;
}

type Source = (pattern: Pattern, setting: (name: string) => unknown) => unknown;

const unset: Source = () => null;
const calibrated =
  (value: unknown): Source =>
  (pattern) =>
    pattern.calibration === undefined ? null : value;
const setting =
  (name: string): Source =>
  (_pattern, settings) =>
    settings(name);

/** The reference's settings in its order. Windows are the deployed ones, since that is what its readers do with them. */
const SETTINGS: Readonly<Record<string, Source>> = {
  model_name: (pattern) => pattern.model.id,
  config_name: unset,
  dataset_name: setting('haystack'),
  dataset_format: calibrated('multiple_passkey'),
  split: unset,
  lr: setting('learningRate'),
  num_steps: (pattern) => pattern.calibration?.steps ?? null,
  batch_size: calibrated(1),
  max_length: setting('maxTokens'),
  context_length_min: setting('minTokens'),
  context_length_max: setting('maxTokens'),
  context_lengths_num_intervals: setting('lengthCount'),
  depth_ratio_num_intervals: unset,
  num_passkeys: setting('passkeys'),
  output_dir: unset,
  sink_size: (pattern) => pattern.windows.deployed.sink,
  recent_size: (pattern) => pattern.windows.deployed.recent,
  deploy_sink_size: (pattern) => pattern.windows.deployed.sink,
  deploy_recent_size: (pattern) => pattern.windows.deployed.recent,
  reg_weight: setting('regularization'),
  initial_value: calibrated(1),
  exp_name: unset,
  enable_pp: unset,
  enable_tp: unset,
  disable_wandb: unset,
  min_needle_depth_ratio: unset,
  max_needle_depth_ratio: unset,
  save_steps: setting('saveEvery'),
  gradient_accumulation_steps: calibrated(1),
  resume: unset,
  rope_theta: unset,
  device: unset,
  streaming_attn_implementation: (pattern) => ((pattern.windows.calibrated?.block ?? 1) > 1 ? 'blocksparse' : null),
  supervision: calibrated('distill'),
  n_samples: unset,
  task: unset,
  attn_load_dir: unset,
  threshold: unset,
  sparsity: unset,
  passkey_length: setting('passkeyWords'),
  context_length: unset,
  generation_length: unset,
  stride_length: unset,
  prefilling_chunk_size: unset,
  seed: (pattern) => pattern.calibration?.seeds[0] ?? null,
};

const WINDOW_KEYS = ['sink_size', 'recent_size', 'deploy_sink_size', 'deploy_recent_size'];

/** The config.json of a pattern. An imported pattern keeps the settings it came with; `sparsity` is set when a cut was chosen. */
function duoConfig(pattern: Pattern, sparsity?: number): Json {
  const settings = pattern.calibration?.settings ?? {};
  const derived = Object.entries(SETTINGS).map(([key, source]) => [key, source(pattern, (name) => settings[name] ?? null)] as const);
  const windows = derived.filter(([key]) => WINDOW_KEYS.includes(key));
  return {
    ...Object.fromEntries(derived),
    ...pattern.source?.config,
    ...Object.fromEntries(windows),
    ...(sparsity === undefined ? {} : { sparsity }),
  };
}

/** The text of config.json. */
export function configJson(pattern: Pattern, sparsity?: number): string {
  return `${JSON.stringify(duoConfig(pattern, sparsity), null, 2)}\n`;
}
