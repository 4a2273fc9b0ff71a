/** The two masks at the ends: the dense model, and no retrieval head at all. */
import type { ModelConfig } from '../model/config.js';
import type { Mask } from '../pattern/schema.js';

/** Every KV head of the model of one kind. */
export function uniformMask(shape: Pick<ModelConfig, 'layers' | 'kvHeads'>, kind: 'retrieval' | 'streaming'): Mask {
  return Array.from({ length: shape.layers }, () => Array.from({ length: shape.kvHeads }, () => kind === 'retrieval'));
}
