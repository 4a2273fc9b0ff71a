/** The samples of a calibration: src/data's, drawn by number under the run's seed. */
import { dataHash } from '../data/recipe.js';
import { openHaystack } from '../data/haystack.js';
import type { Haystack } from '../data/haystack.js';
import { parseMix } from '../data/mix.js';
import { calibrationRecipe, checkSamples, makeCalibrationSample } from '../data/sample.js';
import type { SampleOptions } from '../data/sample.js';
import type { Warn } from '../errors.js';
import type { Tokenizer } from '../model/model.js';
import type { CalibrationSample, SampleSource } from './sample.js';
import { sampleLengths } from './settings.js';
import type { CalibrationSettings } from './settings.js';

/** Held-out samples per check. */
const VALIDATION_SAMPLES = 2;
/** Held-out samples are drawn under a seed of their own, so that every seed is checked on the same ones. */
const VALIDATION_SEED = 0;

/** Opens text and tasks once, and makes sure every task works. @throws InputError for a wrong task, haystack or length. */
export class CalibrationData {
  readonly #options: SampleOptions;
  readonly #haystack: Haystack;
  readonly #tokenizer: Tokenizer;
  readonly #steps: number;

  constructor(settings: CalibrationSettings, tokenizer: Tokenizer, warn: Warn) {
    this.#options = {
      mix: parseMix(settings.tasks),
      lengths: sampleLengths(settings),
      facts: settings.passkeys,
      words: settings.passkeyWords,
      labels: settings.labels,
      chat: settings.chatTemplate,
    };
    this.#haystack = openHaystack(settings.haystack, warn);
    this.#tokenizer = tokenizer;
    this.#steps = settings.steps;
    checkSamples(this.#options, tokenizer, this.#haystack, warn);
  }

  source(seed: number): SampleSource {
    return (index) => makeCalibrationSample(this.#options, this.#tokenizer, this.#haystack, seed, index);
  }

  validation(): CalibrationSample[] {
    const options: SampleOptions = { ...this.#options, part: 'validation' };
    return Array.from({ length: VALIDATION_SAMPLES }, (_, index) =>
      makeCalibrationSample(options, this.#tokenizer, this.#haystack, VALIDATION_SEED, index),
    );
  }

  /** SHA-256 over the recipes of every sample of these seeds, in order. */
  hash(seeds: readonly number[]): string {
    const recipes = seeds.flatMap((seed) =>
      Array.from({ length: this.#steps }, (_, index) => calibrationRecipe(this.#options, this.#tokenizer, this.#haystack, seed, index)),
    );
    return dataHash(recipes);
  }
}
