/** Sizes of a model beyond which a file is not believed: far above any dense decoder, products of two of them are exact. */
export const MAX_LAYERS = 1024;
export const MAX_HEADS = 1024;
export const MAX_HEAD_DIM = 4096;
export const MAX_WIDTH = 1 << 20;
export const MAX_VOCAB = 1 << 24;
export const MAX_POSITIONS = 2 ** 31 - 1;

/** Rotary base where neither a file nor its family gives one. */
export const DEFAULT_ROPE_THETA = 10_000;
