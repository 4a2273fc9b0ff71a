/**
 * Model families as data. A family is one row: which `model_type` it is, what its tensors are called, and which settings
 * of config.json it does not compute and therefore refuses. Shapes follow from the config for every family alike.
 */
import type { ModelConfig } from './config.js';
import type { LayerWeights } from './model.js';

type GlobalSlot = 'embedding' | 'finalNorm' | 'head';
type LayerSlot = keyof LayerWeights;
export type Slot = GlobalSlot | LayerSlot;

export interface Family {
  /** `model_type` of config.json. */
  readonly name: string;
  /** Values of `hidden_act` that are the activation computed here. */
  readonly activations: readonly string[];
  /** Keys of config.json that must be absent, null or false: each would add something that is not computed. */
  readonly mustBeOff: readonly string[];
  /** Tensor names; `{layer}` stands for the layer number. */
  readonly names: Readonly<Record<Slot, string>>;
  /** Tensors that old checkpoints carry and nothing needs. */
  readonly ignored: readonly RegExp[];
}

const LLAMA_NAMES: Readonly<Record<Slot, string>> = {
  embedding: 'model.embed_tokens.weight',
  finalNorm: 'model.norm.weight',
  head: 'lm_head.weight',
  inputNorm: 'model.layers.{layer}.input_layernorm.weight',
  q: 'model.layers.{layer}.self_attn.q_proj.weight',
  k: 'model.layers.{layer}.self_attn.k_proj.weight',
  v: 'model.layers.{layer}.self_attn.v_proj.weight',
  o: 'model.layers.{layer}.self_attn.o_proj.weight',
  postNorm: 'model.layers.{layer}.post_attention_layernorm.weight',
  gate: 'model.layers.{layer}.mlp.gate_proj.weight',
  up: 'model.layers.{layer}.mlp.up_proj.weight',
  down: 'model.layers.{layer}.mlp.down_proj.weight',
};

export const FAMILIES: readonly Family[] = [
  {
    name: 'llama',
    activations: ['silu', 'swish'],
    mustBeOff: ['attention_bias', 'mlp_bias'],
    names: LLAMA_NAMES,
    ignored: [/\.rotary_emb\.inv_freq$/],
  },
];

/** Sizes that config.json gives, under the names it gives them; messages about shapes quote these. */
const DIMENSIONS = {
  vocab_size: (config: ModelConfig) => config.vocab,
  hidden_size: (config: ModelConfig) => config.hidden,
  intermediate_size: (config: ModelConfig) => config.intermediate,
  'num_attention_heads x head_dim': (config: ModelConfig) => config.queryHeads * config.headDim,
  'num_key_value_heads x head_dim': (config: ModelConfig) => config.kvHeads * config.headDim,
} as const;

type Dimension = keyof typeof DIMENSIONS;

const GLOBAL_SHAPES: Readonly<Record<GlobalSlot, readonly Dimension[]>> = {
  embedding: ['vocab_size', 'hidden_size'],
  finalNorm: ['hidden_size'],
  head: ['vocab_size', 'hidden_size'],
};

const LAYER_SHAPES: Readonly<Record<LayerSlot, readonly Dimension[]>> = {
  inputNorm: ['hidden_size'],
  q: ['num_attention_heads x head_dim', 'hidden_size'],
  k: ['num_key_value_heads x head_dim', 'hidden_size'],
  v: ['num_key_value_heads x head_dim', 'hidden_size'],
  o: ['hidden_size', 'num_attention_heads x head_dim'],
  postNorm: ['hidden_size'],
  gate: ['intermediate_size', 'hidden_size'],
  up: ['intermediate_size', 'hidden_size'],
  down: ['hidden_size', 'intermediate_size'],
};

const LAYER_SLOTS = Object.keys(LAYER_SHAPES) as readonly LayerSlot[];

/** A tensor the model needs: its name in the checkpoint and the shape that the config implies. */
export interface PlannedTensor {
  readonly name: string;
  readonly shape: readonly number[];
  /** Where the shape comes from, e.g. `vocab_size, hidden_size`. */
  readonly shapeKeys: string;
}

/** Every tensor a model of this config needs, once; a tied model has no head of its own. */
export function plannedTensors(family: Family, config: ModelConfig): PlannedTensor[] {
  const globals = (['embedding', 'finalNorm', ...(config.tied ? [] : ['head' as const])] as const).map((slot) =>
    planned(family.names[slot], GLOBAL_SHAPES[slot], config),
  );
  const layers = Array.from({ length: config.layers }, (_, layer) =>
    LAYER_SLOTS.map((slot) => planned(layerName(family, slot, layer), LAYER_SHAPES[slot], config)),
  );
  return [...globals, ...layers.flat()];
}

function planned(name: string, dimensions: readonly Dimension[], config: ModelConfig): PlannedTensor {
  return { name, shape: dimensions.map((dimension) => DIMENSIONS[dimension](config)), shapeKeys: dimensions.join(', ') };
}

/** The weights of one layer, each fetched by its tensor name. */
export function layerWeights<T>(family: Family, layer: number, fetch: (name: string) => T): Record<LayerSlot, T> {
  return Object.fromEntries(LAYER_SLOTS.map((slot) => [slot, fetch(layerName(family, slot, layer))])) as Record<LayerSlot, T>;
}

/** True for a tensor of a decoder layer that the config has: one that is there must be understood. */
export function belongsToLayer(family: Family, config: ModelConfig, name: string): boolean {
  const prefix = family.names.inputNorm.slice(0, family.names.inputNorm.indexOf('{layer}'));
  const layer = name.startsWith(prefix) ? /^\d+(?=\.)/.exec(name.slice(prefix.length)) : null;
  return layer !== null && Number(layer[0]) < config.layers;
}

function layerName(family: Family, slot: LayerSlot, layer: number): string {
  return family.names[slot].replace('{layer}', String(layer));
}
