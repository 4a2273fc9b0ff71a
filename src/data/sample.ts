/** Calibration samples: a task drawn from the mix, a length from the lengths, facts hidden and asked with their answers. */
import { at } from '../errors.js';
import type { Warn } from '../errors.js';
import type { Tokenizer } from '../model/model.js';
import { build } from './build.js';
import type { Materials } from './build.js';
import { tokenizerFingerprint } from './encoder.js';
import { drawDepths } from './facts.js';
import type { Haystack, TextPart } from './haystack.js';
import { taskAt } from './mix.js';
import type { Mix } from './mix.js';
import type { Recipe } from './recipe.js';
import { Rng } from './rng.js';
import { chatFingerprint } from './script.js';
import type { Task } from './task.js';

export interface Sample {
  readonly ids: Int32Array;
  /** 1 = labelled: the final hidden state of this token itself counts in the loss (not shifted). */
  readonly labels: Uint8Array;
  /** 1 = the token belongs to a passkey or value that is asked for. */
  readonly answer: Uint8Array;
  readonly recipe: Recipe;
}

export interface SampleOptions {
  readonly mix: Mix;
  /** Lengths, tokens; each comes once before any comes again. */
  readonly lengths: readonly number[];
  /** Facts per sample (passkeys), where not the task's own number. */
  readonly facts?: number | undefined;
  /** Words per value, for tasks whose values are words. */
  readonly words?: number | undefined;
  /** `block`: the whole question-and-answer block; `answer`: the values asked for. */
  readonly labels: 'block' | 'answer';
  /** Deal the text out to the turns of the model's chat template. */
  readonly chat: boolean;
  /** `training` unless told otherwise; `validation` for checks along the way. */
  readonly part?: TextPart | undefined;
}

/**
 * Sample `index` of a calibration: equal arguments give equal ids. In the exact layout it has exactly the length drawn,
 * answers included.
 * @throws InputError when a sample is too short for one fact, or chat is asked of a tokenizer without a template
 */
export function makeCalibrationSample(
  options: SampleOptions,
  tokenizer: Tokenizer,
  haystack: Haystack,
  seed: number,
  index: number,
): Sample {
  const task = taskAt(options.mix, seed, index);
  const recipe = calibrationRecipe(options, tokenizer, haystack, seed, index);
  return sampleOf(recipe, { task, tokenizer, text: haystack.text(recipe.haystack.part) });
}

/** The recipe of sample `index`; costs no tokenization. */
export function calibrationRecipe(options: SampleOptions, tokenizer: Tokenizer, haystack: Haystack, seed: number, index: number): Recipe {
  const { lengths } = options;
  return recipeFor(options, tokenizer, haystack, taskAt(options.mix, seed, index), lengthAt(lengths, seed, index), { seed, index });
}

/** Builds a calibration sample from its recipe. */
export function sampleOf(recipe: Recipe, materials: Materials): Sample {
  const { ids, block, answer } = build(recipe, materials);
  return { ids, labels: recipe.labels === 'block' ? block : answer, answer, recipe };
}

/**
 * Makes the shortest sample of every task, so that what cannot work fails before any work is done; warns of tasks whose
 * shortest samples get fewer facts than asked for.
 * @throws InputError as makeCalibrationSample does
 */
export function checkSamples(options: SampleOptions, tokenizer: Tokenizer, haystack: Haystack, warn: Warn): void {
  const shortest = Math.min(...options.lengths);
  for (const { task } of options.mix) {
    const recipe = recipeFor(options, tokenizer, haystack, task, shortest, { seed: 0, index: 0 });
    const { facts } = build(recipe, { task, tokenizer, text: haystack.text(recipe.haystack.part) });
    if (facts === recipe.facts) continue;
    warn({
      code: 'facts_reduced',
      message: `samples of ${shortest.toLocaleString('en')} tokens hold ${facts} of the ${recipe.facts} facts of the task ${task.name}`,
      hint: 'raise --min-tokens, or lower --passkeys or --passkey-words',
    });
  }
}

function recipeFor(
  options: SampleOptions,
  tokenizer: Tokenizer,
  haystack: Haystack,
  task: Task,
  contextTokens: number,
  { seed, index }: { readonly seed: number; readonly index: number },
): Recipe {
  const part = options.part ?? 'training';
  const facts = options.facts ?? task.facts;
  return {
    use: 'calibrate',
    task: { source: task.source, hash: task.hash },
    haystack: { name: haystack.name, part, hash: haystack.text(part).hash },
    tokenizer: tokenizerFingerprint(tokenizer),
    ...(options.chat ? { chat: chatFingerprint(tokenizer) } : {}),
    seed,
    index,
    contextTokens,
    longestTokens: Math.max(...options.lengths),
    facts,
    ...(options.words === undefined || task.values.kind !== 'words' ? {} : { words: options.words }),
    depths: drawDepths(task, Rng.from(seed, 'depths', task.name, part, contextTokens, index), facts),
    labels: options.labels,
  };
}

/** Length of sample `index`: all lengths in random order, then all again in another. */
function lengthAt(lengths: readonly number[], seed: number, index: number): number {
  const round = Math.floor(index / lengths.length);
  return at(Rng.from(seed, 'lengths', round).shuffle(lengths), index % lengths.length);
}
