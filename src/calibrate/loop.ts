/** The calibration loop: one sample, one two-way pass, one AdamW update a step. Its whole state is plain data. */
import { at, InterruptedError } from '../errors.js';
import type { Model } from '../model/model.js';
import { breathe } from '../progress.js';
import { adamStep, initialAdam } from './adamw.js';
import type { AdamState } from './adamw.js';
import { clamped, flatten, initialGates, meanGate, settledShare, unflatten } from './gates.js';
import type { Gates } from './gates.js';
import { regularization, regularizationGradient } from './loss.js';
import { learningRateFactor } from './schedule.js';
import { indicesOf } from './sample.js';
import type { CalibrationSample, SampleSource } from './sample.js';
import type { CalibrationSettings } from './settings.js';
import { twoWayStep } from './two-way.js';
import type { Validation } from './validation.js';

export interface StepRow {
  readonly step: number;
  readonly contextTokens: number;
  readonly labelledTokens: number;
  readonly distill: number;
  readonly regularization: number;
  readonly learningRate: number;
  readonly meanGate: number;
  readonly settledShare: number;
}

export interface ValidationRow extends Validation {
  readonly step: number;
}

/** Everything a run needs to go on where it stopped, to the same bits. */
export interface LoopState {
  /** Steps done. */
  readonly step: number;
  /** Raw gates, flat, layer-major; every number is a float32. */
  readonly gates: readonly number[];
  readonly adam: AdamState;
  /** Gates of the latest checkpoints, oldest first. */
  readonly snapshots: readonly { readonly step: number; readonly gates: readonly number[] }[];
  readonly validations: readonly ValidationRow[];
  readonly last: { readonly distill: number; readonly regularization: number };
  readonly stoppedEarly: boolean;
}

export interface LoopHooks {
  readonly onStep?: (row: StepRow, gates: Gates) => void;
  readonly onValidation?: (row: ValidationRow) => void;
  /** Called every `saveEvery` steps and at the end or an interrupt. */
  readonly save?: (state: LoopState) => void;
  readonly validate?: (gates: Gates) => Validation;
  readonly signal?: AbortSignal;
}

/** How many snapshots of the gates a run keeps for the stability column of the cut report. */
const SNAPSHOTS = 5;
/** A check counts as a gain when the held-out loss falls by this share. */
const GAIN = 0.01;

export function initialState(layers: number, kvHeads: number): LoopState {
  const gates = [...flatten(initialGates(layers, kvHeads))];
  return {
    step: 0,
    gates,
    adam: initialAdam(gates.length),
    snapshots: [],
    validations: [],
    last: { distill: 0, regularization: 0 },
    stoppedEarly: false,
  };
}

/**
 * Runs from `state` to the last step. Deterministic: the same state, settings and samples give the same gates.
 * @throws InterruptedError when the signal is aborted, after saving.
 */
export async function runLoop(
  model: Model,
  settings: CalibrationSettings,
  samples: SampleSource,
  state: LoopState,
  hooks: LoopHooks = {},
): Promise<LoopState> {
  let current = state;
  while (current.step < settings.steps && !current.stoppedEarly) {
    await breathe();
    if (hooks.signal?.aborted) throw interrupted(current, settings, hooks);
    const { next, row } = oneStep(model, settings, samples(current.step), current);
    current = keepSnapshot(next, settings);
    hooks.onStep?.(row, unflatten(current.gates, model.config.kvHeads));
    current = check(current, settings, model.config.kvHeads, hooks);
    if (current.step % settings.saveEvery === 0 || current.step === settings.steps) hooks.save?.(current);
  }
  return current;
}

function oneStep(
  model: Model,
  settings: CalibrationSettings,
  sample: CalibrationSample,
  state: LoopState,
): { next: LoopState; row: StepRow } {
  const { kvHeads } = model.config;
  // Gates are clamped in place before a step and left as they are after the last one, as the reference does.
  const gates = clamped(unflatten(state.gates, kvHeads));
  const labelled = indicesOf(sample.labels);
  const { distill, gradients } = twoWayStep(model, sample.ids, labelled, gates, settings);
  const penalty = regularization(gates, settings.regularization);
  const fromPenalty = flatten(regularizationGradient(gates, settings.regularization));
  const total = flatten(gradients).map((value, i) => at(fromPenalty, i) + value);
  const learningRate = settings.learningRate * learningRateFactor(state.step, settings.steps);
  const updated = adamStep(flatten(gates), total, state.adam, learningRate);
  const raw = unflatten(updated.parameters, kvHeads);
  return {
    next: {
      ...state,
      step: state.step + 1,
      gates: [...updated.parameters],
      adam: updated.state,
      last: { distill, regularization: penalty },
    },
    row: {
      step: state.step + 1,
      contextTokens: sample.ids.length,
      labelledTokens: labelled.length,
      distill,
      regularization: penalty,
      learningRate,
      meanGate: meanGate(raw),
      settledShare: settledShare(raw),
    },
  };
}

function keepSnapshot(state: LoopState, settings: CalibrationSettings): LoopState {
  const every = Math.max(1, Math.round(settings.steps / 20));
  if (state.step % every !== 0) return state;
  return { ...state, snapshots: [...state.snapshots, { step: state.step, gates: state.gates }].slice(-SNAPSHOTS) };
}

function check(state: LoopState, settings: CalibrationSettings, kvHeads: number, hooks: LoopHooks): LoopState {
  const due = settings.validateEvery > 0 && state.step % settings.validateEvery === 0;
  if (!due || hooks.validate === undefined) return state;
  const row = { step: state.step, ...hooks.validate(clamped(unflatten(state.gates, kvHeads))) };
  hooks.onValidation?.(row);
  const validations = [...state.validations, row];
  const stalled = settings.earlyStop > 0 && state.step < settings.steps && hasStalled(validations, settings.earlyStop);
  return { ...state, validations, stoppedEarly: stalled };
}

/** No check among the last `patience` is 1 % better than the best before them. The loss is distillation + penalty. */
export function hasStalled(validations: readonly Pick<ValidationRow, 'loss'>[], patience: number): boolean {
  if (validations.length <= patience) return false;
  const losses = validations.map(({ loss }) => loss);
  const before = Math.min(...losses.slice(0, -patience));
  return Math.min(...losses.slice(-patience)) > before * (1 - GAIN);
}

function interrupted(state: LoopState, settings: CalibrationSettings, hooks: LoopHooks): InterruptedError {
  hooks.save?.(state);
  return new InterruptedError({
    code: 'interrupted',
    what: `interrupted after ${state.step} of ${settings.steps} steps; the gates so far are kept`,
    hint: 'run the same command again to go on where it stopped',
  });
}
