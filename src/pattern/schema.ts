/** The pattern file, `pattern.json`: raw gates with their provenance. Everything derived (masks, cuts) is computed from it. */
import { z } from 'zod';

export const PATTERN_SCHEMA = 'duo-pattern/1';

/** Largest number of layers, and of KV heads in one, that a pattern may have: far above any model, so that a bad file fails early. */
export const MAX_LAYERS = 1024;
export const MAX_KV_HEADS = 1024;

const matrix = z.array(z.array(z.number()).min(1).max(MAX_KV_HEADS)).min(1).max(MAX_LAYERS);

export const windowSchema = z.object({
  sink: z.number().int().min(0),
  recent: z.number().int().min(1),
  /** 1 defines the window per token; 128 is the reference's block window. */
  block: z.number().int().min(1).default(1),
});

export const patternSchema = z.object({
  schema: z.literal(PATTERN_SCHEMA),
  tool: z.string(),
  model: z.object({
    id: z.string(),
    /** SHA-256 of the weights; absent in imported patterns. */
    hash: z.string().optional(),
    layers: z.number().int().min(1),
    kvHeads: z.number().int().min(1),
    queryHeads: z.number().int().min(1).optional(),
    headDim: z.number().int().min(1).optional(),
  }),
  /** Raw float32 gates, [layer][kvHead], unclamped. */
  gates: matrix,
  /** Standard deviation of each gate over seeds, when there were several. */
  spread: matrix.optional(),
  windows: z.object({ calibrated: windowSchema.optional(), deployed: windowSchema }),
  calibration: z
    .object({
      settings: z.record(z.string(), z.unknown()),
      seeds: z.array(z.number().int()).min(1),
      /** SHA-256 over the recipes of all samples. */
      dataHash: z.string(),
      steps: z.number().int(),
      /** Final losses: distillation, regularization. */
      losses: z.object({ distill: z.number(), regularization: z.number() }),
      /** Gates of the last checkpoints, oldest first, for the stability column of the cut report. */
      checkpoints: z.array(z.object({ step: z.number().int(), gates: matrix })),
      /** Gates of each seed, when there were several. */
      seedGates: z.array(matrix).optional(),
      stoppedEarly: z.boolean().default(false),
    })
    .optional(),
  /** Where an imported pattern came from. */
  source: z.object({ format: z.string(), file: z.string(), sha256: z.string() }).optional(),
});

export type Pattern = z.output<typeof patternSchema>;

/** One row per layer, one entry per KV head: true = retrieval (full cache), false = streaming. */
export type Mask = readonly (readonly boolean[])[];
