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
    };

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
}

/** Query heads per KV head. */
export function groupSize(config: ModelConfig): number {
  return config.queryHeads / config.kvHeads;
}
