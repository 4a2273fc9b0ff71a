/** Evaluation prompts: a fact or several hidden in held-out text, asked, and left for the model to answer. */
import { at, InputError } from '../errors.js';
import type { Tokenizer } from '../model/model.js';
import { build } from './build.js';
import type { Built, Materials } from './build.js';
import { tokenizerFingerprint } from './encoder.js';
import { drawDepths } from './facts.js';
import type { Haystack } from './haystack.js';
import type { Recipe } from './recipe.js';
import { Rng } from './rng.js';
import { chatFingerprint } from './script.js';
import { hasDepth } from './task.js';
import type { Task } from './task.js';

/** One question: what the model is given, and what it must say next. */
export interface Question {
  /** Tokens given before the answer: the whole prompt, or in a follow-up what comes after the last answer. */
  readonly ids: Int32Array;
  /** The value, without the space before it. */
  readonly answer: string;
  /** The value's tokens. */
  readonly answerIds: Int32Array;
}

export interface Needle extends Question {
  /** Further questions about the same haystack, in order; empty in suites that ask one. */
  readonly followUps: readonly Question[];
  /** Share of haystack tokens before the needle asked for, where the suite asks for one. */
  readonly depth?: number;
  /** Share of haystack tokens before each needle, ascending. */
  readonly depths: readonly number[];
  /** Prompt and answers together, all questions included. */
  readonly contextTokens: number;
  readonly recipe: Recipe;
}

export interface NeedleOptions {
  readonly contextTokens: number;
  /** Share of haystack tokens before the needle, moved back to the last sentence start; only where `hasDepth(suite)`. */
  readonly depth?: number | undefined;
  readonly seed: number;
  /** Sample number within the cell. */
  readonly index: number;
  readonly chat?: boolean | undefined;
}

/**
 * Sample `index` of a cell of a suite: equal arguments give equal ids; prompt and answers have exactly `contextTokens`.
 * @throws InputError when the facts do not fit, a depth is given where several facts are asked, or a chat template is missing
 */
export function makeNeedle(suite: Task, options: NeedleOptions, tokenizer: Tokenizer, haystack: Haystack): Needle {
  const recipe = needleRecipe(suite, options, tokenizer, haystack);
  return needleOf(recipe, { task: suite, tokenizer, text: haystack.text(recipe.haystack.part) });
}

/** The recipe of a needle; costs no tokenization. */
export function needleRecipe(suite: Task, options: NeedleOptions, tokenizer: Tokenizer, haystack: Haystack): Recipe {
  const { contextTokens, depth, seed, index } = options;
  checkSuite(suite, depth);
  const drawn = drawDepths(suite, Rng.from(seed, 'depths', suite.name, 'evaluation', contextTokens, index), suite.facts);
  return {
    use: 'evaluate',
    task: { source: suite.source, hash: suite.hash },
    haystack: { name: haystack.name, part: 'evaluation', hash: haystack.text('evaluation').hash },
    tokenizer: tokenizerFingerprint(tokenizer),
    ...(options.chat === true ? { chat: chatFingerprint(tokenizer) } : {}),
    seed,
    index,
    contextTokens,
    longestTokens: contextTokens,
    facts: suite.facts,
    depths: depth === undefined ? drawn : [depth, ...drawn.slice(1)],
    labels: 'answer',
  };
}

function checkSuite(suite: Task, depth: number | undefined): void {
  if (suite.layout !== 'exact') {
    throw new InputError({
      code: 'suite_layout',
      what: "a suite needs the layout exact: the reference's gives no exact length",
      given: suite.source,
      expected: 'layout: exact',
    });
  }
  if (depth !== undefined && !hasDepth(suite)) {
    throw new InputError({
      code: 'suite_depth',
      what: `the suite ${suite.name} asks several facts, whose depths are drawn`,
      given: `depth ${depth}`,
      hint: 'leave --depths out',
    });
  }
}

/** Builds a needle from its recipe. */
export function needleOf(recipe: Recipe, materials: Materials): Needle {
  const built = build(recipe, materials);
  const questions = questionsOf(built);
  const depth = hasDepth(materials.task) ? depthAsked(recipe, built) : undefined;
  return {
    ...at(questions, 0),
    followUps: questions.slice(1),
    ...(depth === undefined ? {} : { depth }),
    depths: built.placed,
    contextTokens: built.ids.length,
    recipe,
  };
}

function questionsOf({ ids, answers, asked }: Built): Question[] {
  return answers.map(({ start, end }, index) => ({
    ids: ids.slice(answers[index - 1]?.end ?? 0, start),
    answer: at(asked, index).value,
    answerIds: ids.slice(start, end),
  }));
}

function depthAsked(recipe: Recipe, built: Built): number {
  const place = [...recipe.depths].sort((a, b) => a - b).indexOf(at(recipe.depths, 0));
  return at(built.placed, place);
}
