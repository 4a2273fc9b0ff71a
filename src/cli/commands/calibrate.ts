/** `duo calibrate`: model -> gates -> pattern directory. */
import { join } from 'node:path';
import { performance } from 'node:perf_hooks';
import { z } from 'zod';
import { calibrate, CalibrationData, resolveSettings } from '../../calibrate/index.js';
import type { CalibrationSettings } from '../../calibrate/index.js';
import type { SeedResult } from '../../calibrate/result.js';
import { checkMemory, planMemory, stepWork } from '../../calibrate/memory.js';
import { initialGates } from '../../calibrate/gates.js';
import { indicesOf } from '../../calibrate/sample.js';
import { twoWayStep } from '../../calibrate/two-way.js';
import { openDevice } from '../../device/runtime.js';
import { at } from '../../errors.js';
import { defaultModelPath, loadModel, readModelInfo } from '../../model/load.js';
import type { ModelInfo } from '../../model/load.js';
import { cachedModelPath } from '../../model/hub/resolve.js';
import type { Model } from '../../model/model.js';
import { parsePattern } from '../../pattern/schema.js';
import { writePattern } from '../../pattern/write.js';
import { describeSession } from '../../report/environment.js';
import { formatBytes } from '../../report/format.js';
import { openRun } from '../../report/run-directory.js';
import type { RunDirectory } from '../../report/run-directory.js';
import { defineCommand } from '../command.js';
import type { CommandResult, Io, Options } from '../command.js';
import { localModel } from '../model-path.js';
import { openCalibrationView } from '../ui/calibration-view.js';
import { formatDuration } from '../ui/progress.js';
import { calibrationSummary } from '../ui/calibration-summary.js';
import type { Places } from '../ui/calibration-summary.js';

const FLAG_NAMES = [
  'model',
  'preset',
  'reference',
  'seed',
  'seeds',
  'steps',
  'minTokens',
  'maxTokens',
  'lengthCount',
  'passkeys',
  'passkeyWords',
  'tasks',
  'labels',
  'chatTemplate',
  'haystack',
  'sink',
  'recent',
  'windowBlock',
  'fullBranch',
  'learningRate',
  'regularization',
  'validateEvery',
  'saveEvery',
  'earlyStop',
  'output',
  'fresh',
  'dryRun',
] as const;

type CalibrateOptions = Options<(typeof FLAG_NAMES)[number], never>;

const rowSchema = z.object({ key: z.string(), seed: z.number(), step: z.number(), kind: z.enum(['step', 'check']) }).loose();
type Row = z.output<typeof rowSchema>;

export const calibrateCommand = defineCommand({
  name: 'calibrate',
  summary: 'find which heads need the whole cache: train one gate per KV head, write a pattern',
  flags: FLAG_NAMES,
  examples: [
    'duo calibrate --output my-pattern',
    'duo calibrate --model ./my-model --preset paper --max-tokens 8K',
    'duo calibrate --seeds 1,2,3 --dry-run',
  ],
  settings: filledSettings,
  run,
});

async function run(options: CalibrateOptions, io: Io): Promise<CommandResult> {
  const path = await localModel(options, io);
  const info = readModelInfo(path, io.warn);
  const settings = settingsOf(options, info, io);
  const seeds = options.seeds ?? [settings.seed];
  // What is wrong or cannot fit is refused before TensorFlow is loaded. At most the whole sample is labelled.
  const plan = planMemory(info.config, info.weightBytes, { contextTokens: settings.maxTokens, labelledTokens: settings.maxTokens });
  checkMemory(plan, settings.maxTokens);
  const tokenizer = info.readTokenizer();
  const data = new CalibrationData(settings, tokenizer, io.warn);
  const device = await openDevice({ device: options.device, threads: options.threads, warn: io.warn, environment: io.environment });
  const model = await loadModel(path, device, { ...io, tokenizer });
  if (options.dryRun === true) return dryRun(model, settings, seeds, data, plan.peakBytes);
  const directory = openDirectory(options, settings, seeds, model, data);
  directory.recordSession(describeSession(device.description, options.threads));
  const { pattern, results } = await calibrateWithView(model, settings, seeds, data, directory, io);
  const output = options.output ?? join(directory.path, 'pattern');
  writePattern(output, pattern);
  return summarize({ output, run: directory.path, model: options.model }, directory, parsePattern(pattern, output), results, io);
}

/** What --print-config adds: the sizes of the preset, the model's window, the mathematics chosen. It fetches no model. */
function filledSettings(options: CalibrateOptions, environment: Io['environment']): Readonly<Record<string, unknown>> {
  const path = cachedModelPath(options.model ?? defaultModelPath(), environment);
  const { window, ...settings } = settingsOf(options, readModelInfo(path));
  return { ...settings, sink: window.sink, recent: window.recent, windowBlock: window.block };
}

function settingsOf(options: CalibrateOptions, info: ModelInfo, io?: Io): CalibrationSettings {
  const {
    model: _model,
    output: _output,
    fresh: _fresh,
    dryRun: _dryRun,
    seeds,
    format: _format,
    device: _device,
    progress: _progress,
    ...rest
  } = options;
  const { config: _config, printConfig: _print, threads: _threads, offline: _offline, ...given } = rest;
  const seed = seeds?.[0] ?? given.seed;
  const { maxPositions, windows } = info.config;
  return resolveSettings({ ...given, seed }, { id: info.id, maxPositions, windows }, io?.warn ?? (() => undefined));
}

function openDirectory(
  options: CalibrateOptions,
  settings: CalibrationSettings,
  seeds: readonly number[],
  model: Model,
  data: CalibrationData,
): RunDirectory<Row> {
  const { name, kernels } = model.device;
  const config = { settings, seeds, model: { id: model.id, hash: model.hash }, data: data.hash(seeds), device: name, kernels };
  return openRun({ verb: 'calibrate', config, rowSchema, fresh: options.fresh });
}

async function calibrateWithView(
  model: Model,
  settings: CalibrationSettings,
  seeds: readonly number[],
  data: CalibrationData,
  directory: RunDirectory<Row>,
  io: Io,
): ReturnType<typeof calibrate> {
  const view = await openCalibrationView(io, settings, seeds);
  // Steps between the last checkpoint and a crash are taken again, to the same bits: their rows are there already.
  const keep = (row: Row): void => (directory.rows.has(row.key) ? undefined : directory.append(row));
  try {
    return await calibrate(model, {
      settings,
      seeds,
      data,
      folder: directory.path,
      hooks: {
        ...view.hooks,
        onStep: (seed, row, gates) => {
          keep({ key: `${seed}/step/${row.step}`, kind: 'step', seed, ...row });
          view.hooks.onStep?.(seed, row, gates);
        },
        onValidation: (seed, row) => {
          keep({ key: `${seed}/check/${row.step}`, kind: 'check', seed, ...row });
          view.hooks.onValidation?.(seed, row);
        },
        signal: io.signal,
      },
    });
  } finally {
    view.end();
  }
}

/** One timed step of the shortest length, scaled by the work of the others. */
function dryRun(
  model: Model,
  settings: CalibrationSettings,
  seeds: readonly number[],
  data: CalibrationData,
  peakBytes: number,
): CommandResult {
  const sample = data.source(settings.seed)(0);
  const gates = initialGates(model.config.layers, model.config.kvHeads, 0.5);
  const timed = [0, 1].map(() => {
    const start = performance.now();
    twoWayStep(model, sample.ids, indicesOf(sample.labels), gates, settings);
    return performance.now() - start;
  });
  const perWork = at(timed, 1) / stepWork(model.config, sample.ids.length);
  const meanWork = (stepWork(model.config, settings.minTokens) + stepWork(model.config, settings.maxTokens)) / 2;
  const stepMs = perWork * meanWork;
  const totalMs = stepMs * settings.steps * seeds.length;
  const json = { settings, seeds, stepMs, totalMs, peakBytes };
  const text = [
    `would calibrate ${model.id} for ${settings.steps} steps of ${settings.minTokens.toLocaleString('en')} to ${settings.maxTokens.toLocaleString('en')} tokens, seed ${seeds.join(', ')}`,
    `time: about ${formatDuration(totalMs)} (${Math.round(stepMs)} ms a step, checks not counted)`,
    `memory: about ${formatBytes(peakBytes)} of tensors at the longest sample`,
    '',
  ].join('\n');
  return { json, text };
}

function summarize(
  places: Places,
  directory: RunDirectory<Row>,
  pattern: ReturnType<typeof parsePattern>,
  results: readonly SeedResult[],
  io: Io,
): CommandResult {
  const last = results.map(({ seed, state }) => ({
    seed,
    steps: state.step,
    stoppedEarly: state.stoppedEarly,
    ...state.last,
    checks: state.validations,
  }));
  directory.writeJson('summary.json', { pattern: places.output, seeds: last });
  return {
    json: { pattern: places.output, run: places.run, gates: pattern.gates, seeds: last },
    text: calibrationSummary(places, pattern, results, io),
  };
}
