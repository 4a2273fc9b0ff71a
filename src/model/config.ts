/** What a model is, as plain data: everything the decoder layer needs to know of a checkpoint's config. */

export type RopeScaling =
  | { readonly type: 'default' }
  | { readonly type: 'linear'; readonly factor: number }
  | {
      readonly type: 'llama3';
      readonly factor: number;
      readonly lowFreqFactor: number;
      readonly highFreqFactor: number;
      readonly originalPositions: number;
    }
  | {
      readonly type: 'yarn';
      readonly factor: number;
      /** Turns over the original positions at and above which a frequency stays, and at and below which it is slowed by `factor`. */
      readonly betaFast: number;
      readonly betaSlow: number;
      readonly originalPositions: number;
      /** Whether the band between is rounded outwards to whole elements. */
      readonly truncate: boolean;
      /** Multiplies cosines and sines. */
      readonly attentionFactor: number;
    }
  /** One divisor per frequency, (headDim / 2), as GGUF files carry them. */
  | { readonly type: 'divided'; readonly divisors: readonly number[] };

export interface ModelConfig {
  /** Row of the family table (src/model/families.ts), e.g. `llama`. */
  readonly family: string;
  readonly layers: number;
  readonly hidden: number;
  readonly intermediate: number;
  readonly queryHeads: number;
  readonly kvHeads: number;
  readonly headDim: number;
  readonly vocab: number;
  /** Positions the model was made for. */
  readonly maxPositions: number;
  readonly rmsNormEps: number;
  readonly ropeTheta: number;
  readonly ropeScaling: RopeScaling;
  /** The output projection is the embedding table. */
  readonly tied: boolean;
  /** Biases of all four attention projections, where the family leaves it to the config; and of the MLP's. */
  readonly attentionBias: boolean;
  readonly mlpBias: boolean;
  /** The model's own window of each layer: tokens a head sees at most, the current one included; null: all. */
  readonly windows: readonly (number | null)[];
  /** Layers without a rotary embedding. */
  readonly noRopeLayers: readonly number[];
}

/** Query heads per KV head. */
export function groupSize(config: ModelConfig): number {
  return config.queryHeads / config.kvHeads;
}
