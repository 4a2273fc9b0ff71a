/** A sample or needle again, from its recipe alone. */
import { InputError } from '../errors.js';
import type { Tokenizer } from '../model/model.js';
import type { Materials } from './build.js';
import { tokenizerFingerprint } from './encoder.js';
import { openHaystack } from './haystack.js';
import type { Haystack } from './haystack.js';
import { needleOf } from './needle.js';
import type { Needle } from './needle.js';
import { recipeSchema } from './recipe.js';
import type { Recipe } from './recipe.js';
import { sampleOf } from './sample.js';
import type { Sample } from './sample.js';
import { chatFingerprint } from './script.js';
import { loadTask } from './task.js';

/**
 * The sample (`use: calibrate`) or needle (`use: evaluate`) with the very ids of the first time. `haystacks` opens haystacks
 * by name; give one that keeps them to rebuild many.
 * @throws InputError when the row is no recipe, or the task, text, tokenizer or chat template is not the one it names
 */
export function rebuild(row: unknown, tokenizer: Tokenizer, haystacks: (name: string) => Haystack = openHaystack): Sample | Needle {
  const parsed = recipeSchema.safeParse(row);
  if (!parsed.success) {
    throw new InputError({ code: 'recipe_invalid', what: 'this is not a recipe row', given: JSON.stringify(row), cause: parsed.error });
  }
  const recipe: Recipe = parsed.data;
  const materials = open(recipe, tokenizer, haystacks);
  return recipe.use === 'calibrate' ? sampleOf(recipe, materials) : needleOf(recipe, materials);
}

function open(recipe: Recipe, tokenizer: Tokenizer, haystacks: (name: string) => Haystack): Materials {
  const task = loadTask(recipe.task.source);
  const text = haystacks(recipe.haystack.name).text(recipe.haystack.part);
  same('task', recipe.task.source, recipe.task.hash, task.hash);
  same('haystack', recipe.haystack.name, recipe.haystack.hash, text.hash);
  same('tokenizer', 'that of the model', recipe.tokenizer, tokenizerFingerprint(tokenizer));
  if (recipe.chat !== undefined) same('chat template', 'that of the model', recipe.chat, chatFingerprint(tokenizer));
  return { task, tokenizer, text };
}

function same(what: string, given: string, expected: string, found: string): void {
  if (expected === found) return;
  throw new InputError({
    code: 'recipe_mismatch',
    what: `the ${what} is not the one the recipe was made with`,
    given: `${given} (hash ${found.slice(0, 12)})`,
    expected: `hash ${expected.slice(0, 12)}`,
  });
}
