/** A small model with seeded random weights, made on a given device: no files, and every shape a test wants. */
import type { Device, Tensor } from '../../src/device/device.js';
import type { ModelConfig } from '../../src/model/config.js';
import { SHAPES } from '../../src/model/dimensions.js';
import { FAMILIES } from '../../src/model/families.js';
import type { LayerSlot, Slot } from '../../src/model/families.js';
import type { Model, Tokenizer } from '../../src/model/model.js';
import { plannedTensors } from '../../src/model/plan.js';
import type { PlannedWeight } from '../../src/model/plan.js';

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

/** Larger than a usual start for queries and keys, so that attention looks at few keys and a wrong window shows. */
const GAINS: Readonly<Record<string, number>> = { embedding: 3, q: 2, k: 2 };

/** A model of the family that the config names, with every weight that the config gives it. */
export function tinyModel(device: Device, seed: number, changes: Partial<ModelConfig> = {}): Model {
  const windows = Array.from({ length: changes.layers ?? TINY_CONFIG.layers }, () => null);
  const config = { ...TINY_CONFIG, windows, ...changes };
  const random = seeded(seed);
  const normal = (scale: number) => scale * Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random());
  const make = ({ slot, shape }: PlannedWeight): Tensor => {
    const value = /Norm$/.test(slot) ? () => 1 + normal(0.1) : () => normal((GAINS[slot] ?? 1) / Math.sqrt(shape[1] ?? 16));
    return device.upload(Float32Array.from({ length: shape.reduce((a, b) => a * b) }, value), shape);
  };
  const planned = plannedWeights(config);
  const one = (slot: Slot): Tensor => present(planned.filter((weight) => weight.slot === slot).map(make)[0]);
  const embedding = one('embedding');
  const layers = Array.from(
    { length: config.layers },
    (_, layer) =>
      Object.fromEntries(planned.filter((weight) => weight.layer === layer).map((weight) => [weight.slot, make(weight)])) as Record<
        LayerSlot,
        Tensor
      >,
  );
  const weights = { embedding, layers, finalNorm: one('finalNorm'), head: config.tied ? embedding : one('head') };
  const all = [...new Set([embedding, weights.finalNorm, weights.head, ...layers.flatMap((layer) => Object.values(layer))])];
  const weightBytes = all.reduce((sum, tensor) => sum + tensor.bytes, 0);
  return { id: `tiny-${seed}`, hash: `tiny-${seed}`, config, tokenizer, endTokens: [], device, weights, weightBytes };
}

function plannedWeights(config: ModelConfig): PlannedWeight[] {
  const family = present(FAMILIES.find(({ name }) => name === config.family));
  const order = Object.keys(SHAPES);
  return plannedTensors(family.tensors, config)
    .flatMap(({ weights }) => weights)
    .sort((a, b) => order.indexOf(a.slot) - order.indexOf(b.slot));
}

function present<T>(value: T | undefined): T {
  if (value === undefined) throw new Error('the family has no such weight');
  return value;
}
