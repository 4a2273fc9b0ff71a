/**
 * Checkpoints in the Hugging Face layout as llama.cpp's converter (convert_hf_to_gguf.py) writes them: names, the order of
 * rows, and the metadata that says what config.json says.
 */
import { at } from '../../src/errors.js';
import type { ModelConfig } from '../../src/model/config.js';
import { inverseFrequencies } from '../../src/model/rope.js';
import { float32Tensor } from './checkpoints.js';
import type { TensorSource } from './checkpoints.js';
import { value } from './gguf.js';
import type { GgufTensorSource, ValueSource } from './gguf.js';

/** As gguf-py/gguf/tensor_mapping.py has them. */
const RENAMED: readonly (readonly [RegExp, string])[] = [
  [/^model\.embed_tokens\./, 'token_embd.'],
  [/^model\.norm\./, 'output_norm.'],
  [/^lm_head\./, 'output.'],
  [/^model\.layers\./, 'blk.'],
  [/self_attn\.q_proj/, 'attn_q'],
  [/self_attn\.k_proj/, 'attn_k'],
  [/self_attn\.v_proj/, 'attn_v'],
  [/self_attn\.qkv_proj/, 'attn_qkv'],
  [/self_attn\.o_proj/, 'attn_output'],
  [/self_attn\.([qk])_norm/, 'attn_$1_norm'],
  [/mlp\.gate_up_proj/, 'ffn_up'],
  [/mlp\.(gate|up|down)_proj/, 'ffn_$1'],
  [/input_layernorm/, 'attn_norm'],
  [/post_feedforward_layernorm/, 'post_ffw_norm'],
];

export interface Converted {
  readonly keys: (readonly [string, ValueSource])[];
  readonly tensors: GgufTensorSource[];
}

/** Tensors must be F32. `architecture` is that of llama.cpp, where it has `llama` for several. */
export function toGguf(config: ModelConfig, tensors: Readonly<Record<string, TensorSource>>, architecture = config.family): Converted {
  const normAfter = Object.keys(tensors).some((name) => name.includes('post_feedforward_layernorm'));
  const rename = (name: string): string =>
    RENAMED.reduce((text, [from, to]) => text.replace(from, to), name).replace(
      'post_attention_layernorm',
      normAfter ? 'post_attention_norm' : 'ffn_norm',
    );
  const paired = architecture === 'llama' || architecture === 'smollm3';
  const converted = Object.entries(tensors).map(([name, source]) => ({
    name: rename(name),
    dimensions: source.shape.toReversed(),
    data: paired && /[qk]_proj/.test(name) ? pairedRows(source, config.headDim) : source.bytes,
  }));
  return { keys: metadata(config, architecture), tensors: [...divisors(config), ...converted] };
}

/** Row i of a head goes to 2i, row i + headDim / 2 to 2i + 1. */
function pairedRows({ shape, bytes }: TensorSource, headDim: number): Uint8Array {
  const rowBytes = bytes.length / at(shape, 0);
  const rows = Array.from({ length: at(shape, 0) }, (_, row) => {
    const [head, place] = [Math.floor(row / headDim), row % headDim];
    const from = head * headDim + Math.floor(place / 2) + (place % 2) * (headDim / 2);
    return bytes.subarray(from * rowBytes, (from + 1) * rowBytes);
  });
  return new Uint8Array(Buffer.concat(rows));
}

function metadata(config: ModelConfig, architecture: string): (readonly [string, ValueSource])[] {
  const window = config.windows.find((size) => size !== null);
  const rows: Readonly<Record<string, ValueSource | undefined>> = {
    vocab_size: value.uint32(config.vocab),
    context_length: value.uint32(config.maxPositions),
    embedding_length: value.uint32(config.hidden),
    block_count: value.uint32(config.layers),
    feed_forward_length: value.uint32(config.intermediate),
    'attention.head_count': value.uint32(config.queryHeads),
    'attention.head_count_kv': value.uint32(config.kvHeads),
    'attention.key_length': value.uint32(config.headDim),
    'attention.value_length': value.uint32(config.headDim),
    'attention.layer_norm_rms_epsilon': value.float32(config.rmsNormEps),
    'attention.sliding_window': window === undefined ? undefined : value.uint32(window),
    'attention.sliding_window_pattern':
      window === undefined
        ? undefined
        : value.list(
            7,
            config.windows.map((size) => value.bool(Number(size !== null))),
          ),
    'rope.freq_base': value.float32(config.ropeTheta),
    'rope.dimension_count': value.uint32(config.headDim),
    ...scaling(config),
  };
  const given = Object.entries(rows).flatMap(([name, source]) =>
    source === undefined ? [] : [[`${architecture}.${name}`, source] as const],
  );
  return [['general.architecture', value.text(architecture)], ...given];
}

function scaling({ ropeScaling }: ModelConfig): Readonly<Record<string, ValueSource>> {
  const named = (type: string, factor: number) => ({ 'rope.scaling.type': value.text(type), 'rope.scaling.factor': value.float32(factor) });
  if (ropeScaling.type === 'linear') return named('linear', ropeScaling.factor);
  if (ropeScaling.type !== 'yarn') return {};
  const { factor, originalPositions, betaFast, betaSlow, attentionFactor } = ropeScaling;
  return {
    ...named('yarn', factor),
    'rope.scaling.original_context_length': value.uint32(originalPositions),
    'rope.scaling.yarn_beta_fast': value.float32(betaFast),
    'rope.scaling.yarn_beta_slow': value.float32(betaSlow),
    'rope.scaling.attn_factor': value.float32(attentionFactor / (0.1 * Math.log(factor) + 1)),
  };
}

/** Llama 3's scaling: one divisor per frequency. */
function divisors(config: ModelConfig): GgufTensorSource[] {
  if (config.ropeScaling.type !== 'llama3') return [];
  const plain = inverseFrequencies({ ...config, ropeScaling: { type: 'default' } });
  const scaled = inverseFrequencies(config);
  const { bytes } = float32Tensor([plain.length], (i) => at(plain, i) / at(scaled, i));
  return [{ name: 'rope_freqs.weight', dimensions: [plain.length], data: bytes }];
}
