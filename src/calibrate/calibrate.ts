/** A whole calibration: every seed's loop, resumed from its checkpoint, and the pattern they give. */
import { at } from '../errors.js';
import type { Model } from '../model/model.js';
import type { PatternInput } from '../pattern/schema.js';
import { checkpointKey, loadCheckpoint, saveCheckpoint } from './checkpoint.js';
import type { Gates } from './gates.js';
import { initialState, runLoop } from './loop.js';
import type { LoopState, StepRow, ValidationRow } from './loop.js';
import { patternOf } from './result.js';
import type { SeedResult } from './result.js';
import type { CalibrationData } from './samples.js';
import type { CalibrationSettings } from './settings.js';
import { validate } from './validation.js';

export interface CalibrationHooks {
  /** A seed begins at `state`: from the start, or where a checkpoint left it. */
  readonly onSeed?: (seed: number, state: LoopState) => void;
  readonly onStep?: (seed: number, row: StepRow, gates: Gates) => void;
  readonly onValidation?: (seed: number, row: ValidationRow) => void;
  readonly signal?: AbortSignal;
}

export interface CalibrationRun {
  readonly settings: CalibrationSettings;
  readonly seeds: readonly number[];
  readonly data: CalibrationData;
  /** Where checkpoints are kept; absent: nowhere. */
  readonly folder?: string;
  readonly hooks?: CalibrationHooks;
}

export interface CalibrationResult {
  readonly pattern: PatternInput;
  readonly results: readonly SeedResult[];
}

/**
 * Calibrates `model`. The same settings, seeds, data, weights and device give the same pattern, bit for bit, however
 * often the run was interrupted.
 * @throws InterruptedError when the signal is aborted; checkpoints are kept.
 */
export async function calibrate(model: Model, run: CalibrationRun): Promise<CalibrationResult> {
  const results: SeedResult[] = [];
  for (const seed of run.seeds) results.push({ seed, state: await calibrateSeed(model, run, seed) });
  const settings = { ...run.settings, seed: at(run.seeds, 0) };
  return { pattern: patternOf(model, settings, run.data.hash(run.seeds), results), results };
}

async function calibrateSeed(model: Model, run: CalibrationRun, seed: number): Promise<LoopState> {
  const { data, folder, hooks = {} } = run;
  const settings = { ...run.settings, seed };
  const key = checkpointKey({
    settings,
    model: model.hash,
    data: data.hash([seed]),
    device: model.device.name,
    kernels: model.device.kernels,
  });
  const fresh = initialState(model.config.layers, model.config.kvHeads);
  const state = (folder === undefined ? undefined : loadCheckpoint(folder, seed, key)) ?? fresh;
  const held = settings.validateEvery > 0 ? data.validation() : [];
  hooks.onSeed?.(seed, state);
  return runLoop(model, settings, data.source(seed), state, {
    onStep: (row, gates) => hooks.onStep?.(seed, row, gates),
    onValidation: (row) => hooks.onValidation?.(seed, row),
    ...(folder === undefined ? {} : { save: (saved) => saveCheckpoint(folder, seed, key, saved) }),
    ...(held.length === 0 ? {} : { validate: (gates) => validate(model, settings, held, gates) }),
    ...(hooks.signal === undefined ? {} : { signal: hooks.signal }),
  });
}
