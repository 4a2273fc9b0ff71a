/** `duo evaluate`: needles and passkeys answered by the dense model, the pattern and baselines from their own caches. */
import { openHaystack } from '../../data/haystack.js';
import { loadTask } from '../../data/task.js';
import { InputError, InterruptedError } from '../../errors.js';
import { planGrid } from '../../evaluate/estimate.js';
import { checkGrid, runGrid } from '../../evaluate/grid.js';
import type { Grid } from '../../evaluate/grid.js';
import { writeReport } from '../../evaluate/report.js';
import { prefillText, rowSchema } from '../../evaluate/row.js';
import type { EvaluationRow } from '../../evaluate/row.js';
import { makeVariants } from '../../evaluate/variants.js';
import type { ResolvedCut } from '../../pattern/cut.js';
import { patternHash } from '../../pattern/hash.js';
import { describeSession } from '../../report/environment.js';
import { openRun } from '../../report/run-directory.js';
import type { RunDirectory } from '../../report/run-directory.js';
import { defineCommand } from '../command.js';
import type { CommandResult, Io, Options } from '../command.js';
import { openSubject, resolveCuts, resolvedSettings, resolveRules, SUBJECT_FLAGS } from '../subject.js';
import type { Subject } from '../subject.js';
import { cutLines } from '../ui/cut-text.js';
import { renderPlan, renderReport } from '../ui/evaluation.js';

const EVALUATE_FLAGS = [
  ...SUBJECT_FLAGS,
  'suite',
  'lengths',
  'depths',
  'samples',
  'baselines',
  'randomMasks',
  'haystack',
  'chatTemplate',
  'prefill',
  'reference',
  'seed',
  'scorer',
  'minScore',
  'output',
  'fresh',
  'dryRun',
] as const;

type EvaluateOptions = Options<
  (typeof EVALUATE_FLAGS)[number],
  'suite' | 'lengths' | 'depths' | 'samples' | 'baselines' | 'randomMasks' | 'haystack' | 'seed' | 'scorer'
>;

export const evaluateCommand = defineCommand({
  name: 'evaluate',
  summary: 'prove a pattern on needles and passkeys, decoding from the hybrid cache, dense beside it',
  flags: EVALUATE_FLAGS,
  defaults: {
    suite: ['niah'],
    lengths: [1024, 2048],
    depths: [0, 0.25, 0.5, 0.75, 1],
    samples: 2,
    baselines: ['dense'],
    randomMasks: 3,
    haystack: 'essay',
    seed: 1,
    scorer: 'strict',
  },
  examples: [
    'duo evaluate --pattern my-pattern',
    'duo evaluate --pattern my-pattern --suite niah,passkey --retrieval-ratio 0.5,0.25 --baselines dense,random,streaming',
    'duo evaluate --pattern my-pattern --lengths 1K-8K*2 --samples 10 --min-score 0.95',
  ],
  settings: (options) => resolvedSettings(options),
  run,
});

async function run(options: EvaluateOptions, io: Io): Promise<CommandResult> {
  checkOptions(options);
  const subject = await openSubject(options, io);
  const cuts = resolveCuts(options, subject, Math.max(...options.lengths));
  const grid = gridOf(options, subject, cuts, io);
  checkGrid(subject.model, grid);
  if (options.dryRun === true) return dryRun(subject, grid, io);
  const directory = openDirectory(options, subject, grid, cuts);
  await runWithReport(options, subject, grid, cuts, directory, io);
  return present(options, subject, grid, cuts, directory, io);
}

function checkOptions({ baselines, minScore }: EvaluateOptions): void {
  if (minScore === undefined || baselines.includes('dense')) return;
  throw new InputError({
    code: 'gate_without_dense',
    what: 'a least score is a share of the dense score, and dense is not among the baselines',
    given: `--min-score ${minScore} --baselines ${baselines.join(',')}`,
    hint: 'add dense to --baselines',
  });
}

function gridOf(options: EvaluateOptions, { model, pattern, window }: Subject, cuts: readonly ResolvedCut[], io: Io): Grid {
  const { depths, samples, seed, baselines, randomMasks } = options;
  return {
    ...{ depths: unique(depths), samples, seed, window },
    suites: unique(options.suite).map(loadTask),
    lengths: unique(options.lengths),
    haystack: openHaystack(options.haystack, io.warn),
    chat: options.chatTemplate === true,
    ...resolveRules(options),
    variants: makeVariants(model.config, { masks: cuts.map((cut) => cut.mask), baselines, randomMasks, seed }),
    patternHash: patternHash(pattern),
  };
}

function unique<T>(values: readonly T[]): readonly T[] {
  return [...new Set(values)];
}

/** Everything that decides a row, so that equal settings on equal files go on where they stopped. */
function openDirectory(
  options: EvaluateOptions,
  { model, pattern }: Subject,
  grid: Grid,
  cuts: readonly ResolvedCut[],
): RunDirectory<EvaluationRow> {
  const { lengths, depths, samples, seed, chat, window, decodeWindow, haystack } = grid;
  const config = {
    ...{ lengths, depths, samples, seed, chat, window, decodeWindow },
    prefill: prefillText(grid.prefill),
    suites: grid.suites.map(({ name, source, hash }) => ({ name, source, hash })),
    haystack: { name: haystack.name, hash: haystack.text('evaluation').hash },
    model: { id: model.id, hash: model.hash },
    pattern: { id: pattern.model.id, hash: grid.patternHash },
    cuts: cuts.map(({ retrievalRatio, fullHeads }) => ({ retrievalRatio, fullHeads })),
    variants: grid.variants.map(({ name, maskHash }) => ({ name, maskHash })),
    device: { name: model.device.name, kernels: model.device.kernels },
  };
  const directory = openRun({ verb: 'evaluate', config, rowSchema, output: options.output, fresh: options.fresh });
  directory.recordSession(describeSession(model.device.description, options.threads));
  return directory;
}

/** A run that is stopped reports what it has. */
async function runWithReport(
  options: EvaluateOptions,
  { model }: Subject,
  grid: Grid,
  cuts: readonly ResolvedCut[],
  directory: RunDirectory<EvaluationRow>,
  io: Io,
): Promise<void> {
  try {
    await runGrid(model, grid, directory, io);
  } catch (error) {
    if (error instanceof InterruptedError) await writeReport(model, grid, directory, { ...options, cuts });
    throw error;
  }
}

async function present(
  options: EvaluateOptions,
  { model }: Subject,
  grid: Grid,
  cuts: readonly ResolvedCut[],
  directory: RunDirectory<EvaluationRow>,
  io: Io,
): Promise<CommandResult> {
  const { heatMaps, ...report } = await writeReport(model, grid, directory, { ...options, cuts });
  const failed = report.gate?.some(({ passed }) => !passed) ?? false;
  const files = [`${directory.path}/results.jsonl`, ...report.files];
  return {
    json: { run: directory.path, resumed: directory.resumed, ...report, files, heatMaps },
    text: `${cuts.map((cut) => `${cutLines(cut).join('\n  ')}\n`).join('')}\n${renderReport({ ...report, heatMaps }, io)}\n${directory.resumed ? 'resumed in' : 'written to'} ${directory.path}\n${files.map((file) => `  ${file}\n`).join('')}`,
    exitCode: failed ? 3 : 0,
  };
}

async function dryRun({ model }: Subject, grid: Grid, io: Io): Promise<CommandResult> {
  const plan = await planGrid(model, grid);
  return { json: { plan }, text: renderPlan(plan, io.color) };
}
