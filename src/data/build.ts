/** From a recipe to token ids. Everything random comes from streams named by the recipe's numbers. */
import { at, InputError } from '../errors.js';
import type { Tokenizer } from '../model/model.js';
import { assembleExact, assembleReference, fewestTokens, haystackRoom, tokenizeScript } from './assemble.js';
import type { Assembled, ScriptTokens } from './assemble.js';
import { drawFacts } from './facts.js';
import type { Fact } from './facts.js';
import type { HaystackText } from './haystack.js';
import type { Recipe } from './recipe.js';
import { Rng } from './rng.js';
import { writeScript } from './script.js';
import type { Script } from './script.js';
import { askedFacts, hasDepth } from './task.js';
import type { Task } from './task.js';

/** What a recipe names, opened. */
export interface Materials {
  readonly task: Task;
  readonly tokenizer: Tokenizer;
  readonly text: HaystackText;
}

export interface Built extends Assembled {
  /** The facts asked, in the order asked. */
  readonly asked: readonly Fact[];
  /** Facts hidden: fewer than asked for when the sample is short. */
  readonly facts: number;
}

/** One try at a number of facts. */
interface Draft {
  readonly hidden: readonly Fact[];
  readonly asked: readonly number[];
  readonly depths: readonly number[];
  readonly tokens: ScriptTokens;
}

/** The stream of random numbers for one purpose of a recipe. */
export function recipeRng(recipe: Recipe, task: Task, purpose: string): Rng {
  const { seed, use, haystack, contextTokens, index, depths } = recipe;
  return Rng.from(seed, use, task.name, haystack.part, contextTokens, index, at(depths, 0), purpose);
}

/** Builds a sample. @throws InputError when it is too short for even one fact, or for an evaluation's facts. */
export function build(recipe: Recipe, materials: Materials): Built {
  const { task, tokenizer, text } = materials;
  const draft = task.layout === 'exact' ? fit(recipe, materials) : drafted(recipe, materials, recipe.facts);
  const assembled = task.layout === 'exact' ? exact(recipe, materials, draft) : reference(recipe, draft, text, tokenizer);
  return { ...assembled, asked: draft.asked.map((number) => at(draft.hidden, number)), facts: draft.hidden.length };
}

function exact(recipe: Recipe, { task, tokenizer, text }: Materials, draft: Draft): Assembled {
  const first = recipeRng(recipe, task, 'text').int(0, text.sentences - 1);
  const stretch = text.stretch(tokenizer, first, recipe.contextTokens - draft.tokens.count);
  return assembleExact(draft.tokens, stretch, draft.depths);
}

function reference(recipe: Recipe, draft: Draft, text: HaystackText, tokenizer: Tokenizer): Assembled {
  const lengths = { haystackTokens: recipe.contextTokens, longestTokens: recipe.longestTokens };
  return assembleReference(draft.tokens, text, tokenizer, lengths, draft.depths);
}

/** The draft with the most facts, up to those asked for, that leaves room for haystack. */
function fit(recipe: Recipe, materials: Materials): Draft {
  for (let facts = recipe.facts; ;) {
    const draft = drafted(recipe, materials, facts);
    const { tokens } = draft;
    if (haystackRoom(tokens, recipe.contextTokens) !== undefined) return draft;
    if (facts === 1 || recipe.use === 'evaluate') throw tooShort(recipe, materials.task, facts, tokens);
    // Never below what fits: tokens grow with the facts, on top of a fixed part.
    facts = Math.max(1, Math.min(facts - 1, Math.floor((facts * recipe.contextTokens) / tokens.count)));
  }
}

function drafted(recipe: Recipe, { task, tokenizer }: Materials, facts: number): Draft {
  const hidden = drawFacts(task, recipeRng(recipe, task, 'facts'), recipe.facts, recipe.words).slice(0, facts);
  const depths = recipe.depths.slice(0, facts).sort((a, b) => a - b);
  const asked = chooseAsked(recipe, task, depths);
  const spaces = task.layout === 'exact' ? 'move' : 'keep';
  const script = writeScript(task, hidden, asked, spaces, recipe.chat === undefined ? undefined : tokenizer);
  const tokens = tokenizeScript(withoutTail(recipe, script), tokenizer, task.layout === 'exact' ? 'joined' : 'plain');
  return { hidden, asked, depths, tokens };
}

/** An evaluation ends where the model answers. */
function withoutTail(recipe: Recipe, script: Script): Script {
  return recipe.use === 'evaluate' ? { ...script, tail: '' } : script;
}

/** Which facts are asked, by their place among the needles. */
function chooseAsked(recipe: Recipe, task: Task, depths: readonly number[]): number[] {
  if (hasDepth(task)) return [depths.indexOf(at(recipe.depths, 0))];
  const places = [...depths.keys()];
  const order = task.order === 'hidden' && task.ask === 'all' ? places : recipeRng(recipe, task, 'asked').shuffle(places);
  const asked = order.slice(0, askedFacts(task, depths.length));
  return task.order === 'hidden' ? asked.sort((a, b) => a - b) : asked;
}

function tooShort(recipe: Recipe, task: Task, facts: number, tokens: ScriptTokens): InputError {
  const many = facts === 1 ? 'one fact' : `${facts} facts`;
  return new InputError({
    code: 'sample_too_short',
    what: `${many} of the task ${task.name}, with the question${facts === 1 ? '' : 's'} and some haystack, do not fit`,
    given: `${recipe.contextTokens} tokens`,
    expected: `at least ${fewestTokens(tokens)} tokens`,
    hint: recipe.use === 'evaluate' ? 'raise --lengths' : 'raise --min-tokens, or lower --passkey-words',
  });
}
