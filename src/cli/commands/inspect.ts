/** `duo inspect`: what a pattern says, how surely it says it, and the mask at a cut. `duo inspect diff` holds two side by side. */
import { checkShape } from '../../pattern/check.js';
import { cutReport } from '../../pattern/cut-report.js';
import { requestedCuts, resolveCut } from '../../pattern/cut.js';
import { patternHash } from '../../pattern/hash.js';
import { readPattern } from '../../pattern/read.js';
import type { Pattern } from '../../pattern/schema.js';
import { percent } from '../../report/format.js';
import { defineCommand } from '../command.js';
import { cutLines, cutTable } from '../ui/cut-text.js';
import { gateMap, maskMap, renderHeadMaps } from '../ui/gate-map.js';
import { CUT_FLAGS, cutContext, cutJson, parseShape, withWindow } from './cut-options.js';
import { inspectDiffCommand } from './inspect-diff.js';

export const inspectCommand = defineCommand({
  name: 'inspect',
  summary: 'show a pattern: gate map, cut table, provenance, and the mask at a cut',
  positionals: ['<pattern>'],
  flags: [...CUT_FLAGS, 'sink', 'recent', 'shape', 'model', 'config'],
  help: {
    config: 'config.json of a bare TSV, where it is not the one beside it',
    model: 'model directory the pattern must fit; gives the bytes their head size',
    retrievalRatio: 'show the mask at this share of full KV heads; a list shows several',
  },
  configIsInput: true,
  examples: [
    'duo inspect patterns/duo-mini',
    'duo inspect patterns/duo-mini --retrieval-ratio 0.25,0.5',
    'duo inspect full_attention_heads.tsv --shape 32x8',
    'duo inspect diff runs/a/pattern runs/b/pattern',
  ],
  subcommands: [inspectDiffCommand],
  run: async (options, io, positionals) => {
    const [path = ''] = positionals;
    const { sink, recent, config } = options;
    const shape = options.shape === undefined ? undefined : parseShape(options.shape);
    const pattern = withWindow(readPattern(path, { warn: io.warn, config, sink, recent, assumeWindow: true }), options);
    if (shape !== undefined) checkShape(pattern, shape);
    const context = await cutContext(pattern, options, io);
    const cuts = requestedCuts(options).map((request) => resolveCut(pattern, request, context));
    const report = cutReport(pattern);
    const { gates, calibration: _gates, ...about } = pattern;
    const maps = [
      gateMap('gates', gates),
      ...cuts.map((cut) => maskMap(`mask at ratio ${percent(cut.retrievalRatio)}, full heads`, cut.mask)),
    ];
    return {
      json: {
        pattern: { ...about, calibration: calibrationFacts(pattern), hash: patternHash(pattern), gates },
        report,
        cuts: cuts.map(cutJson),
      },
      text: [
        ...provenance(pattern),
        '',
        ...renderHeadMaps(maps, io),
        '',
        `mean gate ${report.meanGate.toFixed(3)}, ${percent(report.settledShare)} settled (below 0.05 or above 0.95)`,
        '',
        cutTable(report, io.color),
        ...cuts.flatMap((cut) => [...cutLines(cut), '']),
      ].join('\n'),
    };
  },
});

type Calibration = NonNullable<Pattern['calibration']>;

/** The calibration without its matrices. */
function calibrationFacts({ calibration }: Pattern): Omit<Calibration, 'checkpoints' | 'seedGates'> | null {
  if (calibration === undefined) return null;
  const { checkpoints: _checkpoints, seedGates: _seeds, ...facts } = calibration;
  return facts;
}

function provenance(pattern: Pattern): readonly string[] {
  const { model, windows, calibration, source } = pattern;
  const { deployed, calibrated } = windows;
  const window = ({ sink, recent, block }: NonNullable<typeof calibrated>): string =>
    `sink ${sink}, recent ${recent}${block > 1 ? `, blocks of ${block}` : ''}`;
  const heads = model.layers * model.kvHeads;
  return [
    `${model.id}: ${model.layers} layers x ${model.kvHeads} KV heads = ${heads}, pattern ${patternHash(pattern).slice(0, 12)}`,
    `windows: ${window(deployed)}${calibrated === undefined ? '' : ` (calibrated with ${window(calibrated)})`}`,
    ...(model.layerWindows === undefined ? [] : [ownWindowsLine(model.layerWindows)]),
    ...(calibration === undefined ? [] : [calibrationLine(calibration)]),
    ...(source === undefined ? [] : [`imported from ${source.file} (${source.format}, SHA-256 ${source.sha256.slice(0, 12)})`]),
    `written by ${pattern.tool}`,
  ];
}

function ownWindowsLine(layerWindows: readonly (number | null)[]): string {
  const own = layerWindows.filter((window) => window !== null);
  return `the model's own windows: ${[...new Set(own)].sort((a, b) => a - b).join(', ')} tokens in ${own.length} of ${layerWindows.length} layers`;
}

function calibrationLine({ steps, seeds, losses, dataHash, stoppedEarly }: Calibration): string {
  const early = stoppedEarly ? ', stopped early' : '';
  const loss = `distillation ${losses.distill.toExponential(2)}, regularization ${losses.regularization.toExponential(2)}`;
  return `calibrated: ${steps} steps${early}, seed ${seeds.join(', ')}; final losses: ${loss}; data ${dataHash.slice(0, 12)}`;
}
