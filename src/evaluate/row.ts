/** One line of results.jsonl: one sample answered by one variant, with all that is needed to read it and to make it again. */
import { z } from 'zod';
import type { Prefill } from '../config/values.js';
import { recipeSchema } from '../data/recipe.js';

const share = z.number().min(0).max(1);
const count = z.number().int().min(0);

export const rowSchema = z.object({
  /** suite|contextTokens|depth|index|variant */
  key: z.string(),
  suite: z.string(),
  /** Prompt and answer, tokens; what the cache is made for. */
  contextTokens: count,
  /** Share of the haystack before the needle that was asked for; null where several facts are hidden. */
  depth: share.nullable(),
  /** Share of the haystack before each needle as placed, at the last sentence start. */
  placed: z.array(share),
  /** Number of the sample within its cell. */
  index: count,
  variant: z.string(),
  /** Variants of one title are summed up together: the random masks of a ratio. */
  title: z.string(),
  kind: z.enum(['dense', 'pattern', 'random', 'streaming']),
  retrievalRatio: share,
  sparsity: share,
  maskHash: z.string(),
  patternHash: z.string(),
  modelHash: z.string(),
  sink: count,
  recent: count,
  /** `streaming`, `chunked:N` or `dense`. */
  prefill: z.string(),
  decodeWindow: z.enum(['exact', 'reference']),
  seed: count,
  /** `greedy`: decoded token by token. `teacher-forced`: the right answers fed, every choice compared. */
  scoring: z.enum(['greedy', 'teacher-forced']),
  scores: z.object({
    /** 1 when right: the answer's first line is the value; with several answers, every word of them. */
    strict: share,
    /** 1 when the value occurs in the answer; null where the answer was not generated. */
    substring: share.nullable(),
    /** Share of the words of all answers that were right; null for a single answer. */
    words: share.nullable(),
  }),
  /** The text generated, or of the choices made. */
  answers: z.array(z.string()),
  expected: z.array(z.string()),
  endedBy: z.enum(['end token', 'stop text', 'length', 'interrupt']).nullable(),
  promptTokens: count,
  answerTokens: count,
  /** Bytes of the cache's buffers, measured. */
  cacheBytes: count,
  prefillMs: z.number(),
  answerMs: z.number(),
  /** Rebuilds the prompt. */
  recipe: recipeSchema,
});

export type EvaluationRow = z.output<typeof rowSchema>;

/** A prefill mode as the flag writes it. */
export function prefillText(prefill: Prefill): string {
  return prefill.mode === 'chunked' ? `chunked:${prefill.chunkTokens}` : prefill.mode;
}
