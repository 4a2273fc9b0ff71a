/** Sizes that a config gives, under the names config.json gives them, and the shape of every weight in terms of them. */
import type { ModelConfig } from './config.js';
import type { Slot } from './families.js';

export const DIMENSIONS = {
  vocab_size: (config: ModelConfig) => config.vocab,
  hidden_size: (config: ModelConfig) => config.hidden,
  intermediate_size: (config: ModelConfig) => config.intermediate,
  head_dim: (config: ModelConfig) => config.headDim,
  'num_attention_heads x head_dim': (config: ModelConfig) => config.queryHeads * config.headDim,
  'num_key_value_heads x head_dim': (config: ModelConfig) => config.kvHeads * config.headDim,
} as const;

export type Dimension = keyof typeof DIMENSIONS;

/** Matrices are (out, in). */
export const SHAPES: Readonly<Record<Slot, readonly Dimension[]>> = {
  embedding: ['vocab_size', 'hidden_size'],
  finalNorm: ['hidden_size'],
  head: ['vocab_size', 'hidden_size'],
  inputNorm: ['hidden_size'],
  q: ['num_attention_heads x head_dim', 'hidden_size'],
  k: ['num_key_value_heads x head_dim', 'hidden_size'],
  v: ['num_key_value_heads x head_dim', 'hidden_size'],
  o: ['hidden_size', 'num_attention_heads x head_dim'],
  qBias: ['num_attention_heads x head_dim'],
  kBias: ['num_key_value_heads x head_dim'],
  vBias: ['num_key_value_heads x head_dim'],
  oBias: ['hidden_size'],
  qNorm: ['head_dim'],
  kNorm: ['head_dim'],
  attentionOutNorm: ['hidden_size'],
  mlpNorm: ['hidden_size'],
  gate: ['intermediate_size', 'hidden_size'],
  up: ['intermediate_size', 'hidden_size'],
  down: ['hidden_size', 'intermediate_size'],
  gateBias: ['intermediate_size'],
  upBias: ['intermediate_size'],
  downBias: ['hidden_size'],
  mlpOutNorm: ['hidden_size'],
};
