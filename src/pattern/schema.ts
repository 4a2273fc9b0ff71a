/** The pattern file, `pattern.json`: raw gates with their provenance. Everything derived (masks, cuts) is computed from it. */
import { z } from 'zod';
import { InputError } from '../errors.js';

export const PATTERN_SCHEMA = 'duo-pattern/1';

/** Largest number of layers, and of KV heads in one, that a pattern may have: far above any model, so that a bad file fails early. */
export const MAX_LAYERS = 1024;
export const MAX_KV_HEADS = 1024;
/** Largest number of KV heads in all layers together. */
export const MAX_HEADS = 65_536;
/** Largest number of tokens in a window: far above any context. */
export const MAX_WINDOW_TOKENS = 2 ** 31 - 1;

const MAX_FLOAT32 = (2 - 2 ** -23) * 2 ** 127;

/** A gate is a float32 number; -0 is read as 0, so that equal gates have equal bits. */
const gate = z
  .number()
  .min(-MAX_FLOAT32)
  .max(MAX_FLOAT32)
  .transform((value) => Math.fround(value) + 0);

/** An array whose length is checked before its items are. */
function bounded<T>(most: number): z.ZodType<T[], T[]> {
  return z.custom<T[]>((value) => Array.isArray(value) && value.length >= 1 && value.length <= most, `a list of 1 to ${most} items`);
}

const row = bounded<number>(MAX_KV_HEADS).pipe(z.array(gate));
const matrix = bounded<number[]>(MAX_LAYERS).pipe(z.array(row));

/** Longest name, characters. */
export const MAX_LABEL = 1024;

/** Largest whole number that names a size: far above any model. */
const MAX_SIZE = 2 ** 31 - 1;
const size = z.number().int().min(1).max(MAX_SIZE);

/** A text that is shown to people: short, and without characters that could steer a terminal. */
const label = z
  .string()
  .max(MAX_LABEL)
  .regex(/^\P{Cc}*$/u, 'control characters are not allowed');

const tokens = z.number().int().max(MAX_WINDOW_TOKENS);

export const windowSchema = z.object({
  sink: tokens.min(0),
  recent: tokens.min(1),
  /** 1 defines the window per token; 128 is the reference's block window. */
  block: tokens.min(1).default(1),
});

const modelSchema = z.object({
  id: label,
  /** SHA-256 of the weights; absent in imported patterns. */
  hash: label.optional(),
  layers: size,
  kvHeads: size,
  queryHeads: size.optional(),
  headDim: size.optional(),
  /** Positions the model was made for: the context that a budget is for unless the user names one. */
  maxPositions: size.optional(),
  /** The model's own window of each layer, null where it has none; absent when no layer has one. */
  layerWindows: bounded<number | null>(MAX_LAYERS).pipe(z.array(size.nullable())).optional(),
});

const calibrationSchema = z.object({
  settings: z.record(z.string(), z.unknown()),
  seeds: z.array(z.number().int()).min(1),
  /** SHA-256 over the recipes of all samples. */
  dataHash: label,
  steps: z.number().int(),
  /** Final losses: distillation, regularization. */
  losses: z.object({ distill: z.number(), regularization: z.number() }),
  /** Gates of the last checkpoints, oldest first, for the stability column of the cut report. */
  checkpoints: z.array(z.object({ step: z.number().int(), gates: matrix })),
  /** Gates of each seed, when there were several. */
  seedGates: z.array(matrix).optional(),
  stoppedEarly: z.boolean().default(false),
});

const sourceSchema = z.object({
  format: label,
  /** Name of the file the gates came from, without its folder. */
  file: label,
  sha256: label,
  /** The settings found beside it, as they were. */
  config: z.record(z.string(), z.unknown()).optional(),
});

export const patternSchema = z
  .object({
    schema: z.literal(PATTERN_SCHEMA),
    tool: label,
    model: modelSchema,
    /** Raw float32 gates, [layer][kvHead], unclamped. */
    gates: matrix,
    /** Standard deviation of each gate over seeds, when there were several. */
    spread: matrix.optional(),
    windows: z.object({ calibrated: windowSchema.optional(), deployed: windowSchema }),
    calibration: calibrationSchema.optional(),
    /** Where an imported pattern came from. */
    source: sourceSchema.optional(),
  })
  .superRefine(({ model, gates, spread, calibration }, context) => {
    const { layers, kvHeads } = model;
    if (layers * kvHeads > MAX_HEADS)
      context.addIssue({ code: 'custom', path: ['model'], message: `at most ${MAX_HEADS} heads, got ${layers * kvHeads}` });
    const windows = model.layerWindows?.length ?? layers;
    if (windows !== layers)
      context.addIssue({ code: 'custom', path: ['model', 'layerWindows'], message: `${windows} entries, but model.layers is ${layers}` });
    const checkpoints = calibration?.checkpoints ?? [];
    const seeds = calibration?.seedGates ?? [];
    const matrices: [(string | number)[], readonly (readonly number[])[] | undefined][] = [
      [['gates'], gates],
      [['spread'], spread],
      ...checkpoints.map((checkpoint, i): (typeof matrices)[number] => [['calibration', 'checkpoints', i, 'gates'], checkpoint.gates]),
      ...seeds.map((rows, i): (typeof matrices)[number] => [['calibration', 'seedGates', i], rows]),
    ];
    for (const [path, rows] of matrices) {
      const message = rows === undefined ? undefined : shapeProblem(rows, layers, kvHeads);
      if (message !== undefined) context.addIssue({ code: 'custom', path, message });
    }
  });

export type Pattern = z.output<typeof patternSchema>;

/** What a program fills in: blocks may be left out, and gates may be float64 (they are rounded). */
export type PatternInput = z.input<typeof patternSchema>;

/** One row per layer, one entry per KV head: true = retrieval (full cache), false = streaming. */
export type Mask = readonly (readonly boolean[])[];

/** Gates, [layer][kvHead]: rows of a pattern, or the float32 arrays of a calibration. */
export type GateRows = readonly ArrayLike<number>[];

function shapeProblem(rows: readonly (readonly number[])[], layers: number, kvHeads: number): string | undefined {
  if (rows.length !== layers) return `${rows.length} rows, but model.layers is ${layers}`;
  const ragged = rows.findIndex((row) => row.length !== kvHeads);
  return ragged < 0 ? undefined : `row ${ragged + 1} has ${rows[ragged]?.length} values, but model.kvHeads is ${kvHeads}`;
}

/** A pattern from untrusted or hand-made data. `given` is named in the error. @throws InputError listing every problem with its path. */
export function parsePattern(raw: unknown, given: string): Pattern {
  // A file of another kind is not taken apart.
  if ((raw as { readonly schema?: unknown } | null)?.schema !== PATTERN_SCHEMA)
    throw new InputError({
      code: 'pattern_schema',
      what: 'the file is not a pattern of this version',
      given,
      expected: `a pattern.json with "schema": "${PATTERN_SCHEMA}"`,
    });
  const parsed = patternSchema.safeParse(raw);
  if (parsed.success) return parsed.data;
  const lines = parsed.error.issues.slice(0, 10).map((issue) => `${z.core.toDotPath(issue.path) || 'the file'}: ${issue.message}`);
  throw new InputError({
    code: 'pattern_schema',
    what: `the pattern is not valid: ${lines.join('; ')}`,
    given,
    expected: `a pattern.json with schema ${PATTERN_SCHEMA}`,
  });
}
