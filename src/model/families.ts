/**
 * Model families as data. A family is one row: which `model_type` it is, which tensors a checkpoint holds and which weights
 * lie in them, what config.json leaves out, and which settings are not computed and therefore refused. Shapes follow from
 * the config for every family alike (plan.ts).
 */
import type { ModelConfig } from './config.js';
import type { Dimension } from './dimensions.js';
import type { LayerWeights } from './model.js';

export type GlobalSlot = 'embedding' | 'finalNorm' | 'head';
export type LayerSlot = keyof LayerWeights;
export type Slot = GlobalSlot | LayerSlot;

/** A stored tensor: the weights that lie in it, one below the other, and for which configs it exists (absent: all). */
export interface StoredPart {
  /** `{layer}` stands for the layer number. */
  readonly name: string;
  readonly slots: readonly Slot[];
  readonly when?: (config: ModelConfig) => boolean;
  /** Where it is not the slot's usual one (dimensions.ts). */
  readonly shape?: readonly Dimension[];
}

export interface Family {
  /** `model_type` of config.json. */
  readonly name: string;
  /** Values of `hidden_act` that are the activation computed here. */
  readonly activations: readonly string[];
  /** Keys of config.json that must be absent, null or false: each would add something that is not computed. */
  readonly mustBeOff: readonly string[];
  /** What transformers' config class takes for keys that are absent, where it is not what read-config.ts takes for all. */
  readonly defaults: Readonly<Record<string, unknown>>;
  /** Which layers have a sliding window of their own: none, every one when `sliding_window` is set, or as `layer_types` says. */
  readonly slidingWindow: 'none' | 'every' | 'by-layer';
  /** Some layers have no rotary embedding: `no_rope_layers`, or every `no_rope_layer_interval`-th. */
  readonly noRopeLayers?: boolean;
  /** Base of the rotary frequencies where the config gives none in either style of keys; absent: what transformers takes for all. */
  readonly ropeTheta?: number;
  /** Rope types it knows of those computed here; absent: all. */
  readonly ropeTypes?: readonly string[];
  readonly tensors: readonly StoredPart[];
  /** Tensors that old checkpoints carry and nothing needs. */
  readonly ignored: readonly RegExp[];
  /** How GGUF files hold it; absent: not at all. */
  readonly gguf?: GgufLayout;
}

export interface GgufLayout {
  /** `general.architecture`. */
  readonly architecture: string;
  /** Rows of Q and K are stored so that rope pairs neighbours (2i, 2i + 1) of a head. */
  readonly pairedRows: boolean;
}

const LAYER = 'model.layers.{layer}.';
const hasAttentionBias = (config: ModelConfig): boolean => config.attentionBias;
const hasMlpBias = (config: ModelConfig): boolean => config.mlpBias;

const GLOBALS: readonly StoredPart[] = [
  { name: 'model.embed_tokens.weight', slots: ['embedding'] },
  { name: 'model.norm.weight', slots: ['finalNorm'] },
  { name: 'lm_head.weight', slots: ['head'], when: (config) => !config.tied },
];

const NORMS_BEFORE: readonly StoredPart[] = [
  { name: `${LAYER}input_layernorm.weight`, slots: ['inputNorm'] },
  { name: `${LAYER}post_attention_layernorm.weight`, slots: ['mlpNorm'] },
];

/** Norms of what attention and MLP give, before it joins the residual stream. */
const NORMS_AFTER: readonly StoredPart[] = [
  { name: `${LAYER}post_attention_layernorm.weight`, slots: ['attentionOutNorm'] },
  { name: `${LAYER}post_feedforward_layernorm.weight`, slots: ['mlpOutNorm'] },
];

/** A norm over each head of queries and keys. */
const HEAD_NORMS: readonly StoredPart[] = [
  { name: `${LAYER}self_attn.q_norm.weight`, slots: ['qNorm'] },
  { name: `${LAYER}self_attn.k_norm.weight`, slots: ['kNorm'] },
];

/** One norm over all heads together. */
const WIDE_NORMS: readonly StoredPart[] = [
  { name: `${LAYER}self_attn.q_norm.weight`, slots: ['qNorm'], shape: ['num_attention_heads x head_dim'] },
  { name: `${LAYER}self_attn.k_norm.weight`, slots: ['kNorm'], shape: ['num_key_value_heads x head_dim'] },
];

const OUTPUT: readonly StoredPart[] = [
  { name: `${LAYER}self_attn.o_proj.weight`, slots: ['o'] },
  { name: `${LAYER}mlp.down_proj.weight`, slots: ['down'] },
];

const PROJECTIONS: readonly StoredPart[] = [
  { name: `${LAYER}self_attn.q_proj.weight`, slots: ['q'] },
  { name: `${LAYER}self_attn.k_proj.weight`, slots: ['k'] },
  { name: `${LAYER}self_attn.v_proj.weight`, slots: ['v'] },
  { name: `${LAYER}mlp.gate_proj.weight`, slots: ['gate'] },
  { name: `${LAYER}mlp.up_proj.weight`, slots: ['up'] },
  ...OUTPUT,
];

const FUSED_PROJECTIONS: readonly StoredPart[] = [
  { name: `${LAYER}self_attn.qkv_proj.weight`, slots: ['q', 'k', 'v'] },
  { name: `${LAYER}mlp.gate_up_proj.weight`, slots: ['gate', 'up'] },
  ...OUTPUT,
];

const QKV_BIAS: readonly StoredPart[] = [
  { name: `${LAYER}self_attn.q_proj.bias`, slots: ['qBias'] },
  { name: `${LAYER}self_attn.k_proj.bias`, slots: ['kBias'] },
  { name: `${LAYER}self_attn.v_proj.bias`, slots: ['vBias'] },
];

/** `attention_bias`: all four projections have one. */
const ATTENTION_BIAS: readonly StoredPart[] = [...QKV_BIAS, { name: `${LAYER}self_attn.o_proj.bias`, slots: ['oBias' as const] }].map(
  (part) => ({ ...part, when: hasAttentionBias }),
);

/** `mlp_bias`. */
const MLP_BIAS: readonly StoredPart[] = (['gate', 'up', 'down'] as const).map((slot) => ({
  name: `${LAYER}mlp.${slot}_proj.bias`,
  slots: [`${slot}Bias` as const],
  when: hasMlpBias,
}));

const SILU = { activations: ['silu', 'swish'], mustBeOff: [], defaults: {}, ignored: [/\.rotary_emb\.inv_freq$/] } as const;

export const FAMILIES: readonly Family[] = [
  {
    ...SILU,
    name: 'llama',
    slidingWindow: 'none',
    tensors: [...GLOBALS, ...NORMS_BEFORE, ...PROJECTIONS, ...ATTENTION_BIAS, ...MLP_BIAS],
    gguf: { architecture: 'llama', pairedRows: true },
  },
  {
    ...SILU,
    name: 'mistral',
    defaults: { num_key_value_heads: 8, max_position_embeddings: 131_072, sliding_window: 4096 },
    slidingWindow: 'every',
    tensors: [...GLOBALS, ...NORMS_BEFORE, ...PROJECTIONS],
    gguf: { architecture: 'llama', pairedRows: true },
  },
  {
    ...SILU,
    name: 'qwen2',
    defaults: { num_key_value_heads: 32, max_position_embeddings: 32_768, sliding_window: 4096, max_window_layers: 28 },
    slidingWindow: 'by-layer',
    tensors: [...GLOBALS, ...NORMS_BEFORE, ...PROJECTIONS, ...QKV_BIAS],
    gguf: { architecture: 'qwen2', pairedRows: false },
  },
  {
    ...SILU,
    name: 'qwen3',
    defaults: { num_key_value_heads: 32, head_dim: 128, max_position_embeddings: 32_768, sliding_window: 4096, max_window_layers: 28 },
    slidingWindow: 'by-layer',
    tensors: [...GLOBALS, ...NORMS_BEFORE, ...PROJECTIONS, ...ATTENTION_BIAS, ...HEAD_NORMS],
    gguf: { architecture: 'qwen3', pairedRows: false },
  },
  {
    ...SILU,
    name: 'phi3',
    ropeTypes: ['default'],
    defaults: { rms_norm_eps: 1e-5, max_position_embeddings: 4096 },
    slidingWindow: 'every',
    tensors: [...GLOBALS, ...NORMS_BEFORE, ...FUSED_PROJECTIONS],
    gguf: { architecture: 'phi3', pairedRows: false },
  },
  {
    ...SILU,
    name: 'olmo2',
    defaults: { rms_norm_eps: 1e-5 },
    slidingWindow: 'none',
    tensors: [...GLOBALS, ...NORMS_AFTER, ...PROJECTIONS, ...ATTENTION_BIAS, ...WIDE_NORMS],
    gguf: { architecture: 'olmo2', pairedRows: false },
  },
  {
    ...SILU,
    name: 'smollm3',
    mustBeOff: ['use_sliding_window'],
    defaults: {
      num_key_value_heads: 4,
      max_position_embeddings: 32_768,
      tie_word_embeddings: true,
      no_rope_layer_interval: 4,
    },
    slidingWindow: 'none',
    noRopeLayers: true,
    ropeTheta: 2_000_000,
    tensors: [...GLOBALS, ...NORMS_BEFORE, ...PROJECTIONS, ...ATTENTION_BIAS, ...MLP_BIAS],
    gguf: { architecture: 'smollm3', pairedRows: true },
  },
];
