/** The pattern of a calibration: the gates of its seed, or the mean over its seeds with their spread. */
import { at } from '../errors.js';
import type { Model } from '../model/model.js';
import { PATTERN_SCHEMA } from '../pattern/schema.js';
import type { PatternInput } from '../pattern/schema.js';
import { TOOL } from '../version.js';
import { toRows, unflatten } from './gates.js';
import type { LoopState } from './loop.js';
import type { CalibrationSettings } from './settings.js';

export interface SeedResult {
  readonly seed: number;
  readonly state: LoopState;
}

export function patternOf(model: Model, settings: CalibrationSettings, dataHash: string, results: readonly SeedResult[]): PatternInput {
  const { layers, kvHeads, queryHeads, headDim, maxPositions, windows } = model.config;
  const layerWindows = windows.some((window) => window !== null) ? { layerWindows: [...windows] } : {};
  const rows = (values: readonly number[]): number[][] => toRows(unflatten(values, kvHeads));
  const seedGates = results.map(({ state }) => state.gates);
  const several = results.length > 1;
  const { seed: _seed, ...shared } = settings;
  return {
    schema: PATTERN_SCHEMA,
    tool: TOOL,
    model: { id: model.id, hash: model.hash, layers, kvHeads, queryHeads, headDim, maxPositions, ...layerWindows },
    gates: rows(meanOver(seedGates)),
    ...(several ? { spread: rows(deviationOver(seedGates)) } : {}),
    windows: { calibrated: settings.window, deployed: { ...settings.window, block: 1 } },
    calibration: {
      settings: shared,
      seeds: results.map(({ seed }) => seed),
      dataHash,
      steps: Math.max(...results.map(({ state }) => state.step)),
      losses: {
        distill: mean(results.map(({ state }) => state.last.distill)),
        regularization: mean(results.map(({ state }) => state.last.regularization)),
      },
      checkpoints: at(results, 0).state.snapshots.map(({ step, gates }) => ({ step, gates: rows(gates) })),
      ...(several ? { seedGates: seedGates.map(rows) } : {}),
      stoppedEarly: results.some(({ state }) => state.stoppedEarly),
    },
  };
}

function meanOver(vectors: readonly (readonly number[])[]): number[] {
  return at(vectors, 0).map((_, i) => mean(vectors.map((vector) => at(vector, i))));
}

/** Standard deviation over the seeds (of the population: these are all of them). */
function deviationOver(vectors: readonly (readonly number[])[]): number[] {
  const means = meanOver(vectors);
  return means.map((center, i) => Math.sqrt(mean(vectors.map((vector) => (at(vector, i) - center) ** 2))));
}

function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}
