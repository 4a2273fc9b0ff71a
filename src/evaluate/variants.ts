/** What is compared: the dense model, a pattern at one or more ratios, random masks of the same ratios, and all heads streaming. */
import { uniformMask } from '../cache/uniform-mask.js';
import { Rng } from '../data/rng.js';
import { at } from '../errors.js';
import { canonicalJson, sha256 } from '../files.js';
import type { ModelConfig } from '../model/config.js';
import { countFull } from '../pattern/mask.js';
import type { Mask } from '../pattern/schema.js';
import { percent } from '../report/format.js';

export type VariantKind = 'dense' | 'pattern' | 'random' | 'streaming';
export type Baseline = Exclude<VariantKind, 'pattern'>;

export interface Variant {
  /** Unique within a run, e.g. `random 50 % #3`. */
  readonly name: string;
  /** Variants with one title share a panel and a row of the summary. */
  readonly title: string;
  readonly kind: VariantKind;
  readonly mask: Mask;
  /** Share of KV heads that keep everything, as the mask has it. */
  readonly retrievalRatio: number;
  readonly maskHash: string;
}

export interface VariantOptions {
  /** Masks of the pattern, one for each ratio asked for. */
  readonly masks: readonly Mask[];
  readonly baselines: readonly (Baseline | 'none')[];
  readonly randomMasks: number;
  readonly seed: number;
}

type Shape = Pick<ModelConfig, 'layers' | 'kvHeads'>;

/** All variants, dense first. Equal masks of the pattern are one variant. */
export function makeVariants(shape: Shape, options: VariantOptions): readonly Variant[] {
  const has = (baseline: Baseline): boolean => options.baselines.includes(baseline);
  const masks = [...new Map(options.masks.map((mask) => [countFull(mask), mask])).values()];
  return [
    ...(has('dense') ? [variant('dense', 'dense', uniformMask(shape, 'retrieval'))] : []),
    ...masks.map((mask) => variant('pattern', `pattern ${ratioText(mask)}`, mask)),
    ...(has('random') ? masks.flatMap((mask) => randomVariants(mask, options)) : []),
    ...(has('streaming') ? [variant('streaming', 'all streaming', uniformMask(shape, 'streaming'))] : []),
  ];
}

/** Masks with as many retrieval heads as `mask`, drawn over the whole model. */
function randomVariants(mask: Mask, { randomMasks, seed }: VariantOptions): Variant[] {
  const title = `random ${ratioText(mask)}`;
  return Array.from({ length: randomMasks }, (_, index) => {
    const draw = randomMask(mask, Rng.from(seed, 'random mask', countFull(mask), index));
    return { ...variant('random', title, draw), name: `${title} #${index + 1}` };
  });
}

/** A mask of the shape and the number of retrieval heads of `like`, every such mask equally likely. */
export function randomMask(like: Mask, rng: Rng): Mask {
  const shuffled = rng.shuffle(like.flat());
  const kvHeads = at(like, 0).length;
  return like.map((_, layer) => shuffled.slice(layer * kvHeads, (layer + 1) * kvHeads));
}

function variant(kind: VariantKind, title: string, mask: Mask): Variant {
  return { name: title, title, kind, mask, retrievalRatio: ratioOf(mask), maskHash: sha256(canonicalJson(mask)) };
}

function ratioOf(mask: Mask): number {
  return countFull(mask) / mask.flat().length;
}

function ratioText(mask: Mask): string {
  return percent(ratioOf(mask));
}
