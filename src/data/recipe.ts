/**
 * Recipes: one small JSON row from which a sample is made, and made again. A sample is always built from its recipe, so
 * rebuilding is the same call; what the row names (task, text, tokenizer, chat template) it names by hash.
 */
import { z } from 'zod';
import { canonicalJson, sha256 } from '../files.js';

const count = z.int().min(0);

export const recipeSchema = z.strictObject({
  use: z.enum(['calibrate', 'evaluate']),
  /** Name or file of the task, and its hash. */
  task: z.strictObject({ source: z.string(), hash: z.string() }),
  haystack: z.strictObject({ name: z.string(), part: z.enum(['training', 'validation', 'evaluation']), hash: z.string() }),
  /** Fingerprint of the tokenizer, and of the chat template where one is used. */
  tokenizer: z.string(),
  chat: z.string().optional(),
  seed: count,
  index: count,
  /** The length asked for. */
  contextTokens: z.int().min(1),
  /** Longest length of the set, which the reference's layout needs. */
  longestTokens: z.int().min(1),
  /** Facts asked for; a calibration sample too short for all has fewer. */
  facts: z.int().min(1),
  /** Words of a value, where they are not the task's. */
  words: z.int().min(1).optional(),
  /** Depth of each fact in the order drawn; where one fact is asked, it is the first. */
  depths: z.array(z.number().min(0).max(1)).min(1),
  /** What is labelled in a calibration sample. */
  labels: z.enum(['block', 'answer']),
});

export type Recipe = Readonly<z.output<typeof recipeSchema>>;

/** SHA-256 over recipes, in order: equal hashes mean equal data. */
export function dataHash(recipes: Iterable<Recipe>): string {
  return sha256([...recipes].map((recipe) => canonicalJson(recipe)).join('\n'));
}
