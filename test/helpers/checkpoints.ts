/** Tiny checkpoints written to a temporary folder, whole or broken on purpose. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { at } from '../../src/errors.js';
import { FAMILIES } from '../../src/model/families.js';
import { plannedTensors } from '../../src/model/plan.js';
import { parseConfig } from '../../src/model/read-config.js';

export const TINY_CONFIG = {
  model_type: 'llama',
  hidden_size: 8,
  intermediate_size: 12,
  num_hidden_layers: 2,
  num_attention_heads: 4,
  num_key_value_heads: 2,
  head_dim: 4,
  vocab_size: 16,
  max_position_embeddings: 64,
  rms_norm_eps: 1e-5,
  rope_theta: 10000,
  tie_word_embeddings: true,
  hidden_act: 'silu',
} as const;

export interface TensorSource {
  readonly dtype: string;
  readonly shape: readonly number[];
  readonly bytes: Uint8Array;
}

export function float32Tensor(shape: readonly number[], value: (index: number) => number): TensorSource {
  const values = Float32Array.from({ length: shape.reduce((product, size) => product * size, 1) }, (_, index) => value(index));
  return { dtype: 'F32', shape, bytes: new Uint8Array(values.buffer) };
}

/** The bytes of a safetensors file that holds `tensors` in the order given. */
export function safetensorsBytes(tensors: Readonly<Record<string, TensorSource>>, metadata?: Readonly<Record<string, string>>): Uint8Array {
  let offset = 0;
  const entries = Object.entries(tensors).map(([name, { dtype, shape, bytes }]) => {
    const entry = { dtype, shape, data_offsets: [offset, offset + bytes.length] };
    offset += bytes.length;
    return [name, entry] as const;
  });
  return fromHeader(
    JSON.stringify({ ...(metadata ? { __metadata__: metadata } : {}), ...Object.fromEntries(entries) }),
    Object.values(tensors),
  );
}

/** A safetensors file with any header text at all. */
export function fromHeader(header: string, tensors: readonly TensorSource[] = [], headerLength?: bigint): Uint8Array {
  const text = new TextEncoder().encode(header);
  const length = new Uint8Array(8);
  new DataView(length.buffer).setBigUint64(0, headerLength ?? BigInt(text.length), true);
  return new Uint8Array(Buffer.concat([length, text, ...tensors.map((tensor) => tensor.bytes)]));
}

/** Every tensor that a config needs, small numbers that differ. */
export function tinyTensors(config: Readonly<Record<string, unknown>> = TINY_CONFIG): Record<string, TensorSource> {
  const planned = plannedTensors(at(FAMILIES, 0).tensors, parseConfig(config, 'test').config);
  return Object.fromEntries(planned.map(({ name, shape }, n) => [name, float32Tensor(shape, (i) => Math.sin(n + i) / 8)]));
}

/** Writes a model folder; an object becomes JSON. */
export function writeFolder(folder: string, files: Readonly<Record<string, Uint8Array | string | object>>): string {
  mkdirSync(folder, { recursive: true });
  for (const [name, content] of Object.entries(files))
    writeFileSync(join(folder, name), content instanceof Uint8Array || typeof content === 'string' ? content : JSON.stringify(content));
  return folder;
}
