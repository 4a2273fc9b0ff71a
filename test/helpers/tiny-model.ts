/** A small Llama with seeded random weights, made on a given device: no files, and every shape a test wants. */
import type { Device, Tensor } from '../../src/device/device.js';
import type { ModelConfig } from '../../src/model/config.js';
import type { LayerWeights, Model, Tokenizer } from '../../src/model/model.js';

export const TINY_CONFIG: ModelConfig = {
  family: 'llama',
  layers: 3,
  hidden: 24,
  intermediate: 40,
  queryHeads: 4,
  kvHeads: 2,
  headDim: 8,
  vocab: 61,
  maxPositions: 4096,
  rmsNormEps: 1e-6,
  ropeTheta: 10_000,
  ropeScaling: { type: 'default' },
  tied: true,
  attentionBias: false,
  mlpBias: false,
  windows: [null, null, null],
  noRopeLayers: [],
};

/** Uniform numbers in [0, 1) from a seed (a linear congruential generator modulo 2^32). */
export function seeded(seed: number): () => number {
  let state = (seed * 2_654_435_761) >>> 0;
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 2 ** 32;
  };
}

/** Whole numbers in [0, below) from a seed. */
export function seededInts(seed: number, count: number, below: number): Int32Array {
  const random = seeded(seed);
  return Int32Array.from({ length: count }, () => Math.floor(random() * below));
}

/** A mask whose heads are retrieval heads with probability `share`. */
export function seededMask(seed: number, config: Pick<ModelConfig, 'layers' | 'kvHeads'>, share = 0.5): boolean[][] {
  const random = seeded(seed);
  return Array.from({ length: config.layers }, () => Array.from({ length: config.kvHeads }, () => random() < share));
}

/** Token n reads as the n-th character from U+0100 on. */
const tokenizer: Tokenizer = {
  vocab: TINY_CONFIG.vocab,
  encode: (text) => Array.from(text, (character) => (character.codePointAt(0) ?? 0) - 0x100),
  decode: (ids) => String.fromCodePoint(...ids.map((id) => id + 0x100)),
  chat: () => undefined,
};

export function tinyModel(device: Device, seed: number, changes: Partial<ModelConfig> = {}): Model {
  const windows = Array.from({ length: changes.layers ?? TINY_CONFIG.layers }, () => null);
  const config = { ...TINY_CONFIG, windows, ...changes };
  const random = seeded(seed);
  const normal = (scale: number) => scale * Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random());
  const fill = (shape: number[], make: () => number): Tensor =>
    device.upload(Float32Array.from({ length: shape.reduce((a, b) => a * b) }, make), shape);
  // Sharper than a usual start, so that attention looks at few keys and a wrong window shows.
  const matrix = (out: number, from: number, gain = 1): Tensor => fill([out, from], () => normal(gain / Math.sqrt(from)));
  const norm = (): Tensor => fill([config.hidden], () => 1 + normal(0.1));
  const { hidden, intermediate, headDim } = config;
  const [queryWidth, kvWidth] = [config.queryHeads * headDim, config.kvHeads * headDim];
  const layer = (): LayerWeights => ({
    inputNorm: norm(),
    q: matrix(queryWidth, hidden, 2),
    k: matrix(kvWidth, hidden, 2),
    v: matrix(kvWidth, hidden, 2),
    o: matrix(hidden, queryWidth),
    mlpNorm: norm(),
    gate: matrix(intermediate, hidden),
    up: matrix(intermediate, hidden),
    down: matrix(hidden, intermediate),
  });
  const embedding = matrix(config.vocab, hidden, 3);
  const layers = Array.from({ length: config.layers }, layer);
  const weights = { embedding, layers, finalNorm: norm(), head: embedding };
  const all = [embedding, weights.finalNorm, ...layers.flatMap((one) => Object.values(one) as Tensor[])];
  const weightBytes = all.reduce((sum, tensor) => sum + tensor.bytes, 0);
  return { id: `tiny-${seed}`, hash: `tiny-${seed}`, config, tokenizer, endTokens: [], device, weights, weightBytes };
}
