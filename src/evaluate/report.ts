/** What a run leaves besides its rows: summary.json, and the heat map of every suite that has one, as SVG and as PNG. */
import type { ResolvedCut } from '../pattern/cut.js';
import { formatBytes, percent, thousands } from '../report/format.js';
import type { HeatMap } from '../report/heat-map.js';
import type { RunDirectory } from '../report/run-directory.js';
import { hasDepth } from '../data/task.js';
import type { Model } from '../model/model.js';
import type { Grid } from './grid.js';
import { cellsOf } from './grid.js';
import { prefillText } from './row.js';
import type { EvaluationRow } from './row.js';
import { checkGate, heatMapOf, summarize } from './summary.js';
import type { GateResult, Scorer, SummaryRow } from './summary.js';

export interface ReportOptions {
  readonly scorer: Scorer;
  readonly minScore?: number | undefined;
  readonly cuts: readonly ResolvedCut[];
}

export interface Report {
  readonly complete: boolean;
  readonly rows: number;
  readonly rowsPlanned: number;
  readonly summary: readonly SummaryRow[];
  /** Present when a least score was asked for. */
  readonly gate?: readonly GateResult[];
  readonly heatMaps: readonly HeatMap[];
  /** Files written, beside results.jsonl. */
  readonly files: readonly string[];
}

/** Sums up what `run` holds, which may be a part of the grid, and writes it there. */
export async function writeReport(model: Model, grid: Grid, run: RunDirectory<EvaluationRow>, options: ReportOptions): Promise<Report> {
  const rows = [...run.rows.values()];
  const rowsPlanned = cellsOf(grid).length * grid.variants.length;
  const summary = summarize(rows);
  const gate = options.minScore === undefined ? undefined : checkGate(rows, options.scorer, options.minScore);
  const heatMaps = grid.suites
    .filter(hasDepth)
    .map((suite) => ({ suite: suite.name, map: suiteHeatMap(model, grid, rows, suite.name, options, summary) }));
  const state = { complete: rows.length === rowsPlanned, rows: rows.length, rowsPlanned };
  const cuts = options.cuts.map(({ mask: _mask, ...cut }) => cut);
  const summaryFile = run.writeJson('summary.json', {
    schema: 'duo-evaluation/1',
    hash: run.hash,
    ...state,
    scorer: options.scorer,
    cuts,
    summary,
    ...(gate ? { gate } : {}),
  });
  const figures = await Promise.all(heatMaps.map(({ suite, map }) => writeFigures(run, suite, map)));
  return {
    ...state,
    summary,
    ...(gate ? { gate } : {}),
    heatMaps: heatMaps.map(({ map }) => map),
    files: [summaryFile, ...figures.flat()],
  };
}

function suiteHeatMap(
  model: Model,
  grid: Grid,
  rows: readonly EvaluationRow[],
  suite: string,
  options: ReportOptions,
  summary: readonly SummaryRow[],
): HeatMap {
  const titles = [...new Set(grid.variants.map((variant) => variant.title))];
  const { lengths, depths } = grid;
  const title = `Needle in a haystack: ${model.id}, ${suite} in ${grid.haystack.name}`;
  return heatMapOf(rows, suite, {
    scorer: options.scorer,
    lengths,
    depths,
    titles,
    title,
    caption: captionOf(model, grid, options.scorer, summary),
  });
}

function captionOf(model: Model, grid: Grid, scorer: Scorer, summary: readonly SummaryRow[]): readonly string[] {
  const { sink, recent } = grid.window;
  const longest = Math.max(...grid.lengths);
  const caches = new Map(summary.filter(({ contextTokens }) => contextTokens === longest).map((row) => [row.title, row]));
  const bytes = [...caches.values()].map(
    ({ title, cacheBytes, cacheShare }) =>
      `${title} ${formatBytes(cacheBytes)}${cacheShare === null || cacheShare === 1 ? '' : ` (${percent(cacheShare)})`}`,
  );
  return [
    `${scorer} score, prefill ${prefillText(grid.prefill)}, decode window ${grid.decodeWindow}, sink ${sink}, recent ${recent}, seed ${grid.seed}`,
    `cache at ${thousands(longest)} tokens: ${bytes.length === 0 ? 'not run' : bytes.join(', ')}`,
    `model ${model.hash.slice(0, 12)}, pattern ${grid.patternHash.slice(0, 12)}`,
  ];
}

/** Drawing is loaded only here: it takes longer to load than the rest of the program. */
async function writeFigures(run: RunDirectory<EvaluationRow>, suite: string, map: HeatMap): Promise<string[]> {
  const [{ heatMapSvg }, { svgToPng }] = await Promise.all([import('../report/heat-map-svg.js'), import('../report/png.js')]);
  const svg = heatMapSvg(map);
  return [run.write(`heat-map-${suite}.svg`, svg), run.write(`heat-map-${suite}.png`, await svgToPng(svg))];
}
