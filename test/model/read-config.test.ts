import { InputError } from '../../src/errors.js';
import { parseConfig } from '../../src/model/read-config.js';
import { TINY_CONFIG } from '../helpers/checkpoints.js';

const read = (changes: Readonly<Record<string, unknown>>) => parseConfig({ ...TINY_CONFIG, ...changes }, 'config.json');

function refusal(changes: Readonly<Record<string, unknown>>): string {
  try {
    read(changes);
  } catch (error) {
    if (error instanceof InputError) return error.message;
    throw error;
  }
  return 'accepted';
}

const llama3 = {
  rope_type: 'llama3',
  factor: 8,
  low_freq_factor: 1,
  high_freq_factor: 4,
  original_max_position_embeddings: 64,
};

describe('parseConfig', () => {
  test('reads every size under its own name', () => {
    expect(read({}).config).toEqual({
      family: 'llama',
      layers: 2,
      hidden: 8,
      intermediate: 12,
      queryHeads: 4,
      kvHeads: 2,
      headDim: 4,
      vocab: 16,
      maxPositions: 64,
      rmsNormEps: 1e-5,
      ropeTheta: 10000,
      ropeScaling: { type: 'default' },
      tied: true,
      attentionBias: false,
      mlpBias: false,
      windows: [null, null],
      noRopeLayers: [],
    });
  });

  test('takes head_dim from hidden_size and heads when it is absent or null', () => {
    expect(read({ head_dim: undefined }).config.headDim).toBe(2);
    expect(read({ head_dim: null }).config.headDim).toBe(2);
  });

  test('gives every query head its own KV head when num_key_value_heads is absent', () => {
    expect(read({ num_key_value_heads: undefined }).config.kvHeads).toBe(4);
  });

  test.each([
    ['no scaling', { rope_scaling: null }, { type: 'default' }],
    ['linear under "type"', { rope_scaling: { type: 'linear', factor: 4 } }, { type: 'linear', factor: 4 }],
    ['linear under "rope_type"', { rope_scaling: { rope_type: 'linear', factor: 4 } }, { type: 'linear', factor: 4 }],
    [
      'llama3 in rope_parameters',
      { rope_theta: undefined, rope_parameters: { ...llama3, rope_theta: 10000 } },
      { type: 'llama3', factor: 8, lowFreqFactor: 1, highFreqFactor: 4, originalPositions: 64 },
    ],
    [
      'yarn whose factor and scale are left to the ratio of positions',
      { rope_scaling: { type: 'yarn', factor: null, mscale: 0, truncate: null, original_max_position_embeddings: 16 } },
      { type: 'yarn', factor: 4, truncate: false, attentionFactor: 0.1 * Math.log(4) + 1 },
    ],
  ])('reads rope: %s', (_title, changes, scaling) => {
    expect(read(changes).config).toMatchObject({ ropeTheta: 10000, ropeScaling: scaling });
  });

  test.each([
    ['one id', 1, [1]],
    ['a list', [1, 2], [1, 2]],
    ['null', null, []],
    ['nothing', undefined, []],
  ])('reads end tokens: %s', (_title, raw, expected) => {
    expect(read({ eos_token_id: raw }).endTokens).toEqual(expected);
  });

  test.each([
    [{ model_type: 'mamba' }, 'unsupported model_type "mamba"'],
    [{ model_type: undefined }, 'config.json has no model_type'],
    [{ hidden_size: undefined }, 'config.json: hidden_size is missing'],
    [{ hidden_size: '16' }, 'config.json: hidden_size must be a positive integer up to 1048576, got the text "16"'],
    [{ num_attention_heads: 0 }, 'config.json: num_attention_heads must be a positive integer up to 1024, got 0'],
    [{ num_hidden_layers: -1 }, 'config.json: num_hidden_layers must be a positive integer up to 1024, got -1'],
    [{ num_attention_heads: 3 }, 'config.json: num_attention_heads 3 is not a multiple of num_key_value_heads 2'],
    [{ head_dim: 7 }, 'config.json: head_dim 7 must be even, for rope, and at most 4096'],
    [{ head_dim: null, hidden_size: 9 }, 'config.json: hidden_size 9 is not a multiple of num_attention_heads 4, and head_dim is absent'],
    [{ hidden_act: 'gelu' }, 'unsupported hidden_act "gelu" for llama'],
    [{ quantization_config: { quant_method: 'gptq' } }, 'quantized checkpoints are not supported (quantization_config, quant_method gptq)'],
    [{ rope_scaling: { rope_type: 'dynamic', factor: 4 } }, 'unsupported rope type "dynamic"'],
    [{ rope_scaling: { rope_type: 'longrope', factor: 4 } }, 'unsupported rope type "longrope"'],
    [{ rope_scaling: { type: 'yarn', factor: 4, short_factor: [1], long_factor: [2] } }, 'unsupported rope type "longrope"'],
    [{ rope_scaling: { type: 'dynamic', factor: 4 } }, 'unsupported rope type "dynamic"'],
    [{ rope_scaling: { type: 'constructor' } }, 'unsupported rope type "constructor"'],
    [{ rope_scaling: { rope_type: 'linear' } }, 'config.json: rope type "linear": factor is missing'],
    [
      { rope_scaling: { rope_type: 'llama3', factor: 8, original_max_position_embeddings: 64 } },
      'config.json: rope type "llama3": low_freq_factor is missing, high_freq_factor is missing',
    ],
    [
      { rope_parameters: { rope_type: 'default', rope_theta: 5000 } },
      'config.json gives rope_theta twice, and they differ: 10000 and 5000',
    ],
    [{ model_type: 'phi3', rope_scaling: { type: 'yarn', factor: 4 } }, 'unsupported rope type "yarn"'],
    [
      { model_type: 'smollm3', sliding_window: 8, layer_types: ['sliding_attention', 'full_attention'] },
      'config.json: layer_types has sliding_attention, which is not supported for smollm3',
    ],
    [{ model_type: 'qwen3', layer_types: [1, 2] }, 'config.json: layer_types.0 must be a name, layer_types.1 must be a name'],
    [{ rope_theta: 0 }, 'config.json: rope_theta must be a number above 1, got 0'],
    [{ partial_rotary_factor: 0.5 }, 'partial_rotary_factor 0.5 is not supported'],
  ])('refuses %j', (changes, message) => {
    expect(refusal(changes)).toBe(message);
  });

  test.each([
    ['10000', 'llama', { rope_theta: undefined }, 10_000],
    ['2000000', 'smollm3', { rope_theta: undefined }, 2_000_000],
    ['what rope_parameters has', 'smollm3', { rope_theta: undefined, rope_parameters: { rope_theta: 5000 } }, 5000],
    ['what stands beside rope_parameters', 'smollm3', { rope_theta: 7000, rope_parameters: { rope_type: 'default' } }, 7000],
  ])('takes theta as %s for %s with %j', (_, family, changes, theta) => {
    expect(read({ model_type: family, ...changes }).config.ropeTheta).toBe(theta);
  });

  test('names every wrong key at once', () => {
    expect(refusal({ hidden_size: undefined, vocab_size: 0 })).toBe(
      'config.json: hidden_size is missing\nconfig.json: vocab_size must be a positive integer up to 16777216, got 0',
    );
  });
});
