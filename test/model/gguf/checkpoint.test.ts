import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { InputError } from '../../../src/errors.js';
import type { Warning } from '../../../src/errors.js';
import { openCheckpoint } from '../../../src/model/checkpoint.js';
import type { Checkpoint } from '../../../src/model/checkpoint.js';
import { freeModel, loadModel } from '../../../src/model/load.js';
import { parseConfig } from '../../../src/model/read-config.js';
import { readSafetensors } from '../../../src/model/safetensors.js';
import { readTensor } from '../../../src/model/weight-file.js';
import { Dump } from '../../../src/verify/dump.js';
import { verify } from '../../../src/verify/verify.js';
import { float32Tensor, TINY_CONFIG, tinyTensors } from '../../helpers/checkpoints.js';
import type { TensorSource } from '../../helpers/checkpoints.js';
import { anyDevice } from '../../helpers/each-device.js';
import { ggufBytes, value } from '../../helpers/gguf.js';
import type { GgufTensorSource, ValueSource } from '../../helpers/gguf.js';
import { describeShared, GOLDEN, SHARED } from '../../helpers/paths.js';
import { temporaryFolder } from '../../helpers/temporary.js';
import { toGguf } from '../../helpers/to-gguf.js';
import type { Converted } from '../../helpers/to-gguf.js';

const folder = temporaryFolder();
let written = 0;

function write(source: Converted): string {
  const path = join(folder, `model-${written++}.gguf`);
  writeFileSync(path, ggufBytes(source));
  return path;
}

const TINY = toGguf(parseConfig(TINY_CONFIG, 'test').config, tinyTensors());

/** The tiny model with other keys (undefined: left out) and tensors. */
function tiny(
  keys: Readonly<Record<string, ValueSource | undefined>> = {},
  tensors: (all: readonly GgufTensorSource[]) => readonly GgufTensorSource[] = (all) => all,
): string {
  const merged = { ...Object.fromEntries(TINY.keys), ...keys };
  const given = Object.entries(merged).flatMap(([name, source]) => (source === undefined ? [] : [[name, source] as const]));
  return write({ keys: given, tensors: [...tensors(TINY.tensors)] });
}

/** The tiny model under another architecture. */
function tinyAs(architecture: string, keys: Readonly<Record<string, ValueSource>> = {}): string {
  const renamed = TINY.keys.map(([name, source]) => [name.replace(/^llama\./, `${architecture}.`), source] as const);
  return write({
    keys: [
      ...renamed.filter(([name]) => name !== 'general.architecture'),
      ['general.architecture', value.text(architecture)],
      ...Object.entries(keys),
    ],
    tensors: TINY.tensors,
  });
}

const open = (path: string): Checkpoint => openCheckpoint(path, () => undefined);

function refusal(path: string): string {
  try {
    open(path);
  } catch (error) {
    if (error instanceof InputError) return error.message;
    throw error;
  }
  return 'accepted';
}

const tensor = (name: string, shape: readonly number[]): GgufTensorSource => ({
  name,
  dimensions: shape.toReversed(),
  data: float32Tensor(shape, (i) => 1 + i).bytes,
});
const added =
  (...more: readonly GgufTensorSource[]) =>
  (all: readonly GgufTensorSource[]) => [...all, ...more];

describe('a GGUF checkpoint', () => {
  test('has the config of the checkpoint it was made from', () => {
    const { config, tensors, pairedRows, id, endTokens, hasTokenizer } = open(tiny());
    const { rmsNormEps, ...rest } = parseConfig(TINY_CONFIG, 'test').config;
    expect(config).toMatchObject(rest);
    expect(config.rmsNormEps).toBe(Math.fround(rmsNormEps));
    expect(tensors).toHaveLength(2 + 2 * 9);
    expect({ pairedRows, endTokens, hasTokenizer }).toEqual({ pairedRows: true, endTokens: [], hasTokenizer: false });
    expect(id).toMatch(/^model-\d+$/);
  });

  test.each<readonly [string, string, unknown]>([
    [
      'no key and value length: of the width',
      tiny(
        {
          'llama.attention.key_length': undefined,
          'llama.attention.value_length': undefined,
          'llama.attention.head_count': value.uint32(2),
          'llama.attention.head_count_kv': value.uint32(1),
        },
        (all) => all.map(widened),
      ),
      { headDim: 4, queryHeads: 2 },
    ],
    [
      'no KV heads: as many as heads',
      tiny(
        {
          'llama.attention.head_count_kv': undefined,
          'llama.attention.head_count': value.uint32(2),
          'llama.attention.key_length': value.uint32(4),
        },
        (all) => all.map(halved),
      ),
      { kvHeads: 2, queryHeads: 2 },
    ],
    [
      'sizes for each layer that are the same',
      tiny({
        'llama.attention.head_count_kv': value.list(4, [value.uint32(2), value.uint32(2)]),
        'llama.feed_forward_length': value.list(5, [value.int32(12), value.int32(12)]),
      }),
      { kvHeads: 2, intermediate: 12 },
    ],
    ['no vocabulary size: rows of the embedding', tiny({ 'llama.vocab_size': undefined }), { vocab: 16 }],
    ['no theta: 10,000', tiny({ 'llama.rope.freq_base': undefined }), { ropeTheta: 10_000 }],
    ['sizes of 64 bits', tiny({ 'llama.block_count': value.uint64(2n) }), { layers: 2 }],
    [
      'linear scaling',
      tiny({ 'llama.rope.scaling.type': value.text('linear'), 'llama.rope.scaling.factor': value.float32(4) }),
      { ropeScaling: { type: 'linear', factor: 4 } },
    ],
    [
      'a factor without type: linear',
      tiny({ 'llama.rope.scaling.factor': value.float32(2) }),
      { ropeScaling: { type: 'linear', factor: 2 } },
    ],
    ['scaling none', tiny({ 'llama.rope.scaling.type': value.text('none') }), { ropeScaling: { type: 'default' } }],
    [
      'yarn',
      tiny({ 'llama.rope.scaling.type': value.text('yarn'), 'llama.rope.scaling.factor': value.float32(4) }),
      {
        ropeScaling: {
          type: 'yarn',
          factor: 4,
          betaFast: 32,
          betaSlow: 1,
          originalPositions: 64,
          truncate: true,
          attentionFactor: 0.1 * Math.log(4) + 1,
        },
      },
    ],
    [
      'divisors of the frequencies',
      tiny({}, added(tensor('rope_freqs.weight', [2]))),
      { ropeScaling: { type: 'divided', divisors: [1, 2] } },
    ],
    ['a window: that of mistral', tiny({ 'llama.attention.sliding_window': value.uint32(8) }), { family: 'mistral', windows: [8, 8] }],
    ['a window of 0: none', tiny({ 'llama.attention.sliding_window': value.uint32(0) }), { family: 'llama', windows: [null, null] }],
  ])('%s', (_title, path, expected) => {
    // prettier-ignore
    expect(open(path).config).toMatchObject(expected as object);
  });

  test('of smollm3 leaves the rotary embedding out of every fourth layer', () => {
    const config = { ...TINY_CONFIG, num_hidden_layers: 9 };
    const path = write(toGguf(parseConfig(config, 'test').config, tinyTensors(config), 'smollm3'));
    expect(open(path)).toMatchObject({ pairedRows: true, config: { family: 'smollm3', noRopeLayers: [3, 7] } });
  });

  test('takes every id that ends a text, a turn or a message, once', () => {
    const ends = { eos: 3, eot: 5, eom: 3 };
    const keys = Object.fromEntries(Object.entries(ends).map(([name, id]) => [`tokenizer.ggml.${name}_token_id`, value.uint32(id)]));
    expect(open(tiny(keys)).endTokens).toEqual([3, 5]);
  });

  test('warns of tensors that nothing uses, and not of rotary tables', () => {
    const warnings: Warning[] = [];
    const more = added(tensor('rope_freqs.weight', [2]), tensor('blk.0.attn_rot_embd', [2]), tensor('extra.weight', [2]));
    openCheckpoint(tiny({}, more), (warning) => warnings.push(warning));
    expect(warnings.map(({ message }) => message)).toEqual([expect.stringMatching(/holds 1 tensors .* such as extra\.weight/)]);
  });

  test.each<readonly [string, string, RegExp]>([
    ['no architecture', tiny({ 'general.architecture': undefined }), /^missing key general\.architecture$/],
    ['an architecture that is not known', tinyAs('gemma2'), /^unsupported general\.architecture "gemma2"$/],
    ['an architecture that is no text', tiny({ 'general.architecture': value.uint32(1) }), /general\.architecture must be a text, got 1$/],
    ['an adapter', tiny({ 'general.type': value.text('adapter') }), /key general\.type is the text "adapter"/],
    ['one file of several', tiny({ 'split.count': value.uint16(3) }), /key split\.count is 3: a model in several files is not supported/],
    ['experts', tiny({ 'llama.expert_count': value.uint32(8) }), /key llama\.expert_count is 8: for llama it is not supported/],
    ['attention to what comes later', tiny({ 'llama.attention.causal': value.bool(0) }), /key llama\.attention\.causal is false/],
    ['capped logits', tiny({ 'llama.final_logit_softcapping': value.float32(30) }), /llama\.final_logit_softcapping is 30/],
    ...[
      'context_length',
      'embedding_length',
      'block_count',
      'feed_forward_length',
      'attention.head_count',
      'attention.layer_norm_rms_epsilon',
    ].map((name) => [`no ${name}`, tiny({ [`llama.${name}`]: undefined }), new RegExp(`^missing key llama\\.${name}$`)] as const),
    [
      'a text for a number',
      tiny({ 'llama.attention.head_count': value.text('two') }),
      /llama\.attention\.head_count must be an integer .*, got the text "two"$/,
    ],
    [
      'a fraction of a layer',
      tiny({ 'llama.block_count': value.float32(1.5) }),
      /llama\.block_count must be an integer from 1 to 1024, got 1\.5$/,
    ],
    ['no layers', tiny({ 'llama.block_count': value.uint32(0) }), /llama\.block_count must be an integer from 1 to 1024, got 0$/],
    ['a billion layers', tiny({ 'llama.block_count': value.uint32(1e9) }), /llama\.block_count must be an integer from 1 to 1024/],
    [
      'a size above 2^53',
      tiny({ 'llama.embedding_length': value.uint64(2n ** 63n) }),
      /llama\.embedding_length must be .*, got 9223372036854775808$/,
    ],
    [
      'an epsilon that is no number',
      tiny({ 'llama.attention.layer_norm_rms_epsilon': value.float32(NaN) }),
      /layer_norm_rms_epsilon must be .*, got NaN$/,
    ],
    [
      'KV heads that differ by layer',
      tiny({ 'llama.attention.head_count_kv': value.list(4, [value.uint32(2), value.uint32(1)]) }),
      /head_count_kv must be .*, the same for every layer, got a list of 2$/,
    ],
    [
      'sizes of more layers than there are',
      tiny({ 'llama.attention.head_count_kv': value.list(4, [2, 2, 2].map(value.uint32)) }),
      /head_count_kv must be .*, got a list of 3$/,
    ],
    [
      'heads that KV heads do not divide',
      tiny({ 'llama.attention.head_count': value.uint32(3) }),
      /llama\.attention\.head_count 3 is not a multiple of llama\.attention\.head_count_kv 2$/,
    ],
    [
      'a width that heads do not divide',
      tiny({ 'llama.attention.key_length': undefined, 'llama.embedding_length': value.uint32(10) }),
      /llama\.embedding_length 10 is not a multiple/,
    ],
    [
      'heads of odd size',
      tiny({
        'llama.attention.key_length': value.uint32(5),
        'llama.attention.value_length': value.uint32(5),
        'llama.rope.dimension_count': value.uint32(5),
      }),
      /heads of 5 elements/,
    ],
    ['values of another size than keys', tiny({ 'llama.attention.value_length': value.uint32(8) }), /value_length is 8 and keys have 4$/],
    ['rotation of half a head', tiny({ 'llama.rope.dimension_count': value.uint32(2) }), /rope\.dimension_count is 2: rotating a part/],
    ['an unknown scaling', tiny({ 'llama.rope.scaling.type': value.text('longrope') }), /rope scaling "longrope" is not supported$/],
    [
      'longrope by its tensors',
      tiny({}, added(tensor('rope_factors_long.weight', [2]))),
      /rope_factors_long\.weight: rope scaling "longrope"/,
    ],
    ['yarn without factor', tiny({ 'llama.rope.scaling.type': value.text('yarn') }), /^missing key llama\.rope\.scaling\.factor$/],
    [
      'linear scaling of attention too',
      tiny({ 'llama.rope.scaling.factor': value.float32(2), 'llama.rope.scaling.attn_factor': value.float32(2) }),
      /attn_factor is only supported for rope scaling "yarn"/,
    ],
    ['a theta of 0', tiny({ 'llama.rope.freq_base': value.float32(0) }), /rope\.freq_base must be a number above 1, got 0$/],
    [
      'divisors and scaling',
      tiny({ 'llama.rope.scaling.factor': value.float32(2) }, added(tensor('rope_freqs.weight', [2]))),
      /rope_freqs\.weight and rope scaling "linear" together/,
    ],
    ['too many divisors', tiny({}, added(tensor('rope_freqs.weight', [4]))), /rope_freqs\.weight: shape \[4\] does not fit/],
    [
      'a divisor of 0',
      tiny({}, added({ ...tensor('rope_freqs.weight', [2]), data: new Uint8Array(8) })),
      /rope_freqs\.weight: element 0 is 0$/,
    ],
    [
      'a window that olmo2 has not',
      tinyAs('olmo2', { 'olmo2.attention.sliding_window': value.uint32(8) }),
      /olmo2\.attention\.sliding_window: a window is not supported/,
    ],
    [
      'a window of layers that are not named',
      tinyAs('qwen2', { 'qwen2.attention.sliding_window': value.uint32(8) }),
      /^missing key qwen2\.attention\.sliding_window_pattern$/,
    ],
    [
      'an end token that is no id',
      tiny({ 'tokenizer.ggml.eos_token_id': value.int32(-1) }),
      /tokenizer\.ggml\.eos_token_id must be an integer from 0/,
    ],
    [
      'no embedding',
      tiny({ 'llama.vocab_size': undefined }, (all) => all.filter(({ name }) => name !== 'token_embd.weight')),
      /^missing tensor token_embd\.weight$/,
    ],
    [
      'a missing tensor',
      tiny({}, (all) => all.filter(({ name }) => name !== 'blk.1.ffn_down.weight')),
      /^missing tensor blk\.1\.ffn_down\.weight/,
    ],
    [
      'a part that would be left out',
      tiny({}, added(tensor('blk.1.attn_q_norm.weight', [4]))),
      /^unexpected tensor blk\.1\.attn_q_norm\.weight/,
    ],
    [
      'a vocabulary of another size',
      tiny({ 'llama.vocab_size': value.uint32(15) }),
      /^tensor token_embd\.weight: shape \[16, 8\] does not fit/,
    ],
    [
      'weights of a type that is not read',
      tiny({}, (all) => all.map((one) => (one.name === 'output_norm.weight' ? { ...one, type: 26 } : one))),
      /output_norm\.weight: dtype I32 is not supported/,
    ],
  ])('is refused with %s', (_title, path, message) => {
    // prettier-ignore
    expect(refusal(path)).toMatch(message);
  });
});

/** Heads half as many: rows of Q, and columns of what attention gives. */
function halved(source: GgufTensorSource): GgufTensorSource {
  if (/attn_q\.weight$/.test(source.name)) return tensor(source.name, [8, 8]);
  if (/attn_output\.weight$/.test(source.name)) return tensor(source.name, [8, 8]);
  return source;
}

/** As `halved`, with one KV head. */
function widened(source: GgufTensorSource): GgufTensorSource {
  return /attn_[kv]\.weight$/.test(source.name) ? tensor(source.name, [4, 8]) : halved(source);
}

/** A checkpoint folder's tensors as float32. */
function tensorsOf(path: string): Record<string, TensorSource> {
  const file = readSafetensors(path);
  return Object.fromEntries(
    [...file.tensors.values()].map((stored) => {
      const values = readTensor(file, stored);
      return [stored.name, float32Tensor(stored.shape, (i) => values[i] ?? 0)];
    }),
  );
}

/** Converts a case, and compares what the GGUF file computes with the case's golden. */
async function convertAndVerify(source: string, architecture?: string): Promise<void> {
  const { config } = open(source);
  const path = write(toGguf(config, tensorsOf(join(source, 'model.safetensors')), architecture));
  expect(open(path).config.family).toBe(config.family);
  const model = await loadModel(path, anyDevice());
  const verification = await verify(model, Dump.open(join(source, 'golden.safetensors')), { tolerance: 1e-4 });
  freeModel(model);
  expect(verification.comparisons.filter(({ passed }) => !passed)).toEqual([]);
  expect(verification.comparisons.length).toBeGreaterThan(10);
}

describe('a checkpoint converted to GGUF computes what it computed before', () => {
  test.each(['llama-mqa', 'llama-bias', 'llama-yarn', 'llama3-rope', 'llama-linear-rope', 'olmo2', 'phi3', 'qwen2-mixed', 'qwen3-bias'])(
    '%s',
    (name) => convertAndVerify(join(GOLDEN, name)),
  );

  describeShared('shared cases', () => {
    test.each(['mistral-swa', 'qwen2', 'qwen3'])('%s', (name) =>
      convertAndVerify(join(SHARED, 'golden', name), name.startsWith('mistral') ? 'llama' : undefined),
    );
  });
});
