/** Settings of a calibration: presets set sizes only; `reference` alone changes the mathematics; whatever the user gives wins. */
import type { Window } from '../device/device.js';
import { InputError } from '../errors.js';
import type { Warn } from '../errors.js';
import type { ModelConfig } from '../model/config.js';
import type { FullBranch } from './two-way.js';

export interface CalibrationSettings {
  readonly preset: Preset;
  readonly reference: boolean;
  readonly seed: number;
  readonly steps: number;
  readonly minTokens: number;
  readonly maxTokens: number;
  /** Samples have one of this many lengths, evenly spaced from the shortest to the longest. */
  readonly lengthCount: number;
  readonly passkeys: number;
  readonly passkeyWords: number;
  /** Weighted mix of tasks, e.g. `words:1,numbers:1`. */
  readonly tasks: string;
  readonly labels: 'block' | 'answer';
  readonly chatTemplate: boolean;
  readonly haystack: string;
  readonly learningRate: number;
  readonly regularization: number;
  readonly window: Window;
  readonly fullBranch: FullBranch;
  /** Steps between held-out checks; 0: none. */
  readonly validateEvery: number;
  readonly saveEvery: number;
  /** Checks without a 1 % gain before stopping; 0: never. */
  readonly earlyStop: number;
}

export type Preset = 'quick' | 'paper';

type Sizes = Pick<
  CalibrationSettings,
  'steps' | 'minTokens' | 'maxTokens' | 'lengthCount' | 'passkeys' | 'passkeyWords' | 'validateEvery' | 'saveEvery'
>;

const PRESETS: Readonly<Record<Preset, Sizes>> = {
  quick: { steps: 40, minTokens: 512, maxTokens: 512, lengthCount: 1, passkeys: 5, passkeyWords: 8, validateEvery: 10, saveEvery: 5 },
  paper: {
    steps: 2000,
    minTokens: 1000,
    maxTokens: 32_000,
    lengthCount: 50,
    passkeys: 10,
    passkeyWords: 32,
    validateEvery: 50,
    saveEvery: 10,
  },
};

type Mathematics = Omit<CalibrationSettings, keyof Sizes | 'preset' | 'reference' | 'seed'>;

const OURS: Mathematics = {
  tasks: 'words:1,numbers:1',
  labels: 'block',
  chatTemplate: false,
  haystack: 'essay',
  learningRate: 0.02,
  regularization: 0.05,
  window: { sink: 64, recent: 256, block: 1 },
  fullBranch: 'own',
  earlyStop: 5,
};

/** What the reference's code does (train.sh): blocks of 128, the teacher's output in the mix, words only, no early stop. */
const REFERENCE: Mathematics = {
  ...OURS,
  tasks: 'reference',
  window: { sink: 128, recent: 256, block: 128 },
  fullBranch: 'teacher',
  earlyStop: 0,
};

/** The reference keeps 300 tokens free in every sample: 512 are too few for the passkeys of `quick`. */
const REFERENCE_QUICK = { minTokens: 1024, maxTokens: 1024 };

/** Windows that suit a model better than the default, by model id. */
const MODEL_WINDOWS: Readonly<Record<string, { readonly sink: number; readonly recent: number }>> = {
  'duo-mini': { sink: 16, recent: 64 },
};

/** What the user gave; everything else comes from the preset, the model and the mathematics chosen. */
export type GivenSettings = { readonly [K in keyof Omit<CalibrationSettings, 'window'>]?: CalibrationSettings[K] | undefined } & {
  readonly sink?: number | undefined;
  readonly recent?: number | undefined;
  readonly windowBlock?: number | undefined;
};

/** The sink and recent window a model is calibrated and evaluated with unless the user says otherwise, tokens. */
export function defaultWindow(modelId: string): { readonly sink: number; readonly recent: number } {
  return MODEL_WINDOWS[modelId] ?? { sink: OURS.window.sink, recent: OURS.window.recent };
}

/** What settings depend on in a model. */
export interface SettingsModel extends Pick<ModelConfig, 'maxPositions'>, Partial<Pick<ModelConfig, 'windows'>> {
  readonly id: string;
}

/** @throws InputError when the settings contradict each other. */
export function resolveSettings(given: GivenSettings, model: SettingsModel, warn: Warn): CalibrationSettings {
  const preset = given.preset ?? 'quick';
  const reference = given.reference ?? false;
  const { sink, recent, windowBlock, ...rest } = given;
  const chosen: CalibrationSettings = {
    preset,
    reference,
    seed: 1,
    ...PRESETS[preset],
    ...(reference && preset === 'quick' ? REFERENCE_QUICK : {}),
    ...(reference ? REFERENCE : OURS),
    ...defined(rest),
    window: resolveWindow({ sink, recent, windowBlock }, reference, model.id),
  };
  const settings = matchLengths(chosen, given);
  checkLengths(settings);
  if (model.windows !== undefined) noteOwnWindows(settings.window, model.windows, warn);
  return cutToPositions(settings, model.maxPositions, warn);
}

function defined<T extends object>(values: T): { [K in keyof T]?: Exclude<T[K], undefined> } {
  return Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined)) as {
    [K in keyof T]?: Exclude<T[K], undefined>;
  };
}

function resolveWindow(given: Pick<GivenSettings, 'sink' | 'recent' | 'windowBlock'>, reference: boolean, modelId: string): Window {
  const base = reference ? REFERENCE.window : { ...defaultWindow(modelId), block: OURS.window.block };
  return { sink: given.sink ?? base.sink, recent: given.recent ?? base.recent, block: given.windowBlock ?? base.block };
}

/** A single bound given moves the other one out of its way. */
function matchLengths(settings: CalibrationSettings, given: GivenSettings): CalibrationSettings {
  const minTokens = given.minTokens ?? Math.min(settings.minTokens, settings.maxTokens);
  const maxTokens = given.maxTokens ?? Math.max(settings.maxTokens, minTokens);
  const lengthCount = given.lengthCount ?? (minTokens === maxTokens ? 1 : Math.max(settings.lengthCount, 2));
  return { ...settings, minTokens, maxTokens, lengthCount };
}

function checkLengths(settings: CalibrationSettings): void {
  if (settings.minTokens > settings.maxTokens) {
    throw new InputError({
      code: 'calibration_lengths',
      what: 'the shortest sample is longer than the longest',
      given: `--min-tokens ${settings.minTokens} --max-tokens ${settings.maxTokens}`,
      expected: 'min-tokens of at most max-tokens',
    });
  }
}

function cutToPositions(settings: CalibrationSettings, maxPositions: number, warn: Warn): CalibrationSettings {
  if (settings.maxTokens <= maxPositions) return settings;
  warn({
    code: 'calibration_cut',
    message: `samples are cut from ${settings.maxTokens.toLocaleString('en')} to ${maxPositions.toLocaleString('en')} tokens, the positions the model was made for`,
    hint: '--max-tokens sets another length',
  });
  return { ...settings, maxTokens: maxPositions, minTokens: Math.min(settings.minTokens, maxPositions) };
}

/** Says where streaming heads see all that the model's own window shows, so that calibration finds nothing to tell heads apart by. */
function noteOwnWindows(window: Window, layerWindows: ModelConfig['windows'], warn: Warn): void {
  const { recent, block } = window;
  const alwaysSeen = (Math.ceil(recent / block) - 1) * block + 1; // a query may be the first of its block
  const same = layerWindows.filter((own) => own !== null && own <= alwaysSeen).length;
  if (same === 0) return;
  warn({
    code: 'window_layers',
    message: `in ${same} of ${layerWindows.length} layers the model's own window is not longer than the recent window: retrieval and streaming heads see the same there, and gates fall to 0`,
    hint: 'a smaller --recent would tell them apart; what those heads keep is no more either way',
  });
}

/** The lengths samples are drawn from, tokens, ascending. */
export function sampleLengths(settings: CalibrationSettings): number[] {
  const { minTokens, maxTokens, lengthCount } = settings;
  if (lengthCount === 1 || minTokens === maxTokens) return [maxTokens];
  const lengths = Array.from({ length: lengthCount }, (_, i) => Math.trunc(minTokens + ((maxTokens - minTokens) * i) / (lengthCount - 1)));
  return [...new Set(lengths)];
}
