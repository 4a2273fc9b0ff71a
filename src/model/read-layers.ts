/** What config.json says of single layers: which have a sliding window of their own, and which have no rotary embedding. */
import { z } from 'zod';
import { InputError } from '../errors.js';
import type { Family } from './families.js';
import { MAX_POSITIONS } from './limits.js';

type Raw = Readonly<Record<string, unknown>>;

const size = z.int('must be a positive integer or null').positive('must be a positive integer or null').max(MAX_POSITIONS).nullish();

const windowSchema = z.looseObject({
  sliding_window: size,
  use_sliding_window: z.boolean('must be true or false').nullish(),
  max_window_layers: z.int('must be an integer').min(0, 'must not be negative').nullish(),
  layer_types: z.array(z.string('must be a name'), 'must be a list of names').nullish(),
});

/**
 * The model's own window of each layer, tokens; null: none (configuration_mistral.py, configuration_qwen2.py of
 * transformers). @throws InputError
 */
export function readWindows(family: Family, raw: Raw, layers: number, source: string): (number | null)[] {
  const keys = parse(windowSchema, raw, source);
  const window = keys.sliding_window ?? null;
  if (family.slidingWindow === 'none') {
    if (keys.layer_types?.includes('sliding_attention'))
      throw invalid(
        `layer_types has sliding_attention, which is not supported for ${family.name}`,
        source,
        'full_attention in every layer',
      );
    return noWindows(layers);
  }
  if (family.slidingWindow === 'every') return Array.from({ length: layers }, () => window);
  const used = keys.use_sliding_window === true ? window : null;
  const types = keys.layer_types ?? Array.from({ length: layers }, (_, layer) => usualType(layer, used, keys.max_window_layers));
  checkTypes(types, layers, used, source);
  return types.map((type) => (type === 'sliding_attention' ? used : null));
}

/** One null per layer. */
export function noWindows(layers: number): null[] {
  return Array.from({ length: layers }, () => null);
}

function usualType(layer: number, window: number | null, maxWindowLayers: number | null | undefined): string {
  return window !== null && layer >= (maxWindowLayers ?? 0) ? 'sliding_attention' : 'full_attention';
}

function checkTypes(types: readonly string[], layers: number, window: number | null, source: string): void {
  if (types.length !== layers) throw invalid(`layer_types has ${types.length} entries, num_hidden_layers is ${layers}`, source);
  const unknown = types.find((type) => type !== 'full_attention' && type !== 'sliding_attention');
  if (unknown !== undefined)
    throw invalid(`layer type ${JSON.stringify(unknown)} is not supported`, source, 'full_attention, sliding_attention');
  if (window === null && types.includes('sliding_attention'))
    throw invalid('layer_types has sliding_attention, but no window is in use', source, 'use_sliding_window true and a sliding_window');
}

const noRopeSchema = z.looseObject({
  no_rope_layers: z.array(z.union([z.int(), z.boolean()]), 'must be a list of 0 and 1').nullish(),
  no_rope_layer_interval: z.int('must be a positive integer').positive('must be a positive integer').nullish(),
});

/** Layers without a rotary embedding; `no_rope_layers` has 1 for a layer with it (configuration_smollm3.py). @throws InputError */
export function readNoRopeLayers(family: Family, raw: Raw, layers: number, source: string): number[] {
  if (family.noRopeLayers !== true) return [];
  const { no_rope_layers: listed, no_rope_layer_interval: interval } = parse(noRopeSchema, raw, source);
  if (listed && listed.length !== layers)
    throw invalid(`no_rope_layers has ${listed.length} entries, num_hidden_layers is ${layers}`, source);
  const rotates = (layer: number): boolean => (listed ? Boolean(listed[layer]) : (layer + 1) % (interval ?? layers + 1) !== 0);
  return Array.from({ length: layers }, (_, layer) => layer).filter((layer) => !rotates(layer));
}

function parse<T>(schema: z.ZodType<T>, raw: Raw, source: string): T {
  const parsed = schema.safeParse(raw);
  if (parsed.success) return parsed.data;
  throw invalid(parsed.error.issues.map((issue) => `${issue.path.join('.')} ${issue.message}`).join(', '), source);
}

function invalid(problem: string, source: string, expected?: string): InputError {
  return new InputError({
    code: 'config_invalid',
    what: `config.json: ${problem}`,
    given: source,
    ...(expected === undefined ? {} : { expected }),
  });
}
