/** Model folders of every family: config.json, generation_config.json, and the weights, in one file or in shards with an index. */
import { Rng } from '../../../src/data/rng.js';
import { FAMILIES } from '../../../src/model/families.js';
import type { Family } from '../../../src/model/families.js';
import { plannedTensors } from '../../../src/model/plan.js';
import { parseConfig } from '../../../src/model/read-config.js';
import { elementsOf } from '../../../src/model/weight-file.js';
import { readModel } from '../check-model.js';
import { integer, joined, mutateBytes } from '../mutate-bytes.js';
import { jsonText, mutateJson } from '../mutate-json.js';
import type { Json } from '../mutate-json.js';
import { withLinks } from '../kind.js';
import type { Content, Files, FuzzKind } from '../kind.js';

const INDEX = 'model.safetensors.index.json';

const SIZES = {
  hidden_size: 8,
  intermediate_size: 12,
  num_hidden_layers: 2,
  num_attention_heads: 4,
  num_key_value_heads: 2,
  head_dim: 4,
  vocab_size: 16,
  max_position_embeddings: 64,
  rms_norm_eps: 1e-5,
  tie_word_embeddings: true,
  hidden_act: 'silu',
  eos_token_id: 2,
} as const;

/** Settings of rope and of layers, each valid for some family. */
const SETTINGS: readonly { readonly [key: string]: Json }[] = [
  {},
  { rope_theta: 10_000, rope_scaling: null, attention_bias: false },
  { rope_theta: 10_000, rope_scaling: { type: 'linear', factor: 4 } },
  {
    rope_theta: 5e5,
    rope_scaling: { rope_type: 'llama3', factor: 8, low_freq_factor: 1, high_freq_factor: 4, original_max_position_embeddings: 64 },
  },
  { rope_parameters: { rope_type: 'yarn', rope_theta: 1e6, factor: 4, original_max_position_embeddings: 64, beta_fast: 32, beta_slow: 1 } },
  { sliding_window: 16, use_sliding_window: true, max_window_layers: 1 },
  { sliding_window: 16, use_sliding_window: true, layer_types: ['sliding_attention', 'full_attention'] },
  { no_rope_layers: [1, 0], no_rope_layer_interval: 2 },
];

export const checkpointKind: FuzzKind = {
  name: 'checkpoint',
  make: (rng, changes) => {
    const family = rng.choice(FAMILIES);
    // smollm3 has a theta of its own, which rope_parameters would contradict.
    const settings = changes === 0 ? {} : rng.choice(SETTINGS);
    const config = { model_type: family.name, ...SIZES, ...settings };
    const weights = rng.choice([whole, sharded])(family);
    const files: Files = { 'config.json': JSON.stringify(config), 'generation_config.json': '{"eos_token_id":[1,2]}', ...weights };
    const name = rng.float() < 0.5 ? 'config.json' : rng.choice(Object.keys(files));
    return withLinks(rng, { ...files, [name]: changed(rng, files[name] ?? '', changes) }, changes);
  },
  read: readModel,
};

function changed(rng: Rng, content: Content, changes: number): Content {
  if (typeof content === 'string') {
    const inTree = rng.float() < 0.8;
    return jsonText(rng, mutateJson(rng, JSON.parse(content) as Json, inTree ? changes : 0), inTree ? 0 : changes);
  }
  return content instanceof Uint8Array ? mutateBytes(rng, content, changes) : content;
}

const kept = new Map<string, Files>();

/** The same files for every input of a family. */
function keep(key: string, make: () => Files): Files {
  const files = kept.get(key) ?? make();
  kept.set(key, files);
  return files;
}

function whole(family: Family): Files {
  return keep(`${family.name} whole`, () => ({ 'model.safetensors': weightFile(tensorsOf(family)) }));
}

function sharded(family: Family): Files {
  return keep(`${family.name} sharded`, () => {
    const tensors = tensorsOf(family);
    const shards = [tensors.slice(0, 5), tensors.slice(5)].map((part, i) => [`model-${i + 1}-of-2.safetensors`, part] as const);
    const map = Object.fromEntries(shards.flatMap(([name, part]) => part.map((tensor) => [tensor.name, name])));
    return {
      [INDEX]: JSON.stringify({ metadata: {}, weight_map: map }),
      ...Object.fromEntries(shards.map(([name, part]) => [name, weightFile(part)])),
    };
  });
}

interface Tensor {
  readonly name: string;
  readonly shape: readonly number[];
}

function tensorsOf(family: Family): readonly Tensor[] {
  return plannedTensors(family.tensors, parseConfig({ model_type: family.name, ...SIZES }, 'fuzz').config);
}

function weightFile(tensors: readonly Tensor[]): Uint8Array {
  const rng = Rng.from('weights');
  let end = 0;
  const parts = tensors.map(({ name, shape }) => {
    const values = Float32Array.from({ length: elementsOf({ shape }) }, () => rng.float());
    const begin = end;
    end += values.byteLength;
    return { entry: [name, { dtype: 'F32', shape, data_offsets: [begin, end] }] as const, bytes: new Uint8Array(values.buffer) };
  });
  const header = Buffer.from(JSON.stringify(Object.fromEntries(parts.map(({ entry }) => entry))));
  return joined([integer(header.length, 8), header, ...parts.map(({ bytes }) => bytes)]);
}
