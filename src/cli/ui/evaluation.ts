/** What `duo evaluate` says: the heat maps, a row for each suite, length and variant, the gate, the files. */
import type { Plan } from '../../evaluate/estimate.js';
import type { Report } from '../../evaluate/report.js';
import type { GateResult, SummaryRow } from '../../evaluate/summary.js';
import { formatBytes, percent, thousands } from '../../report/format.js';
import { palette } from '../render.js';
import { renderHeatMap } from './heat-map.js';
import type { TerminalView } from './heat-map.js';
import { formatDuration } from './progress.js';
import { renderTable } from './table.js';

const HEAD = ['suite', 'heads', 'tokens', 'n', 'strict', 'substring', 'words', 'of dense', 'cache', 'share'];

export function renderReport(report: Report, view: TerminalView): string {
  const maps = report.heatMaps.map((map) => `${renderHeatMap(map, view)}\n`);
  const table = renderTable(HEAD, report.summary.map(cells), view.color, 2);
  const random = report.summary.filter(({ masks }) => masks > 1).map(renderBest);
  const gate = report.gate === undefined ? '' : `${report.gate.map((result) => renderGate(result, view.color)).join('\n')}\n`;
  return [...maps, table, ...random, gate].join('');
}

function cells(row: SummaryRow): string[] {
  const share = (value: number | null): string => (value === null ? '-' : percent(value));
  return [
    row.suite,
    row.title,
    thousands(row.contextTokens),
    thousands(row.samples),
    ...[row.strict, row.substring, row.words, row.ofDense].map(share),
    formatBytes(row.cacheBytes),
    share(row.cacheShare),
  ];
}

function renderBest({ suite, title, contextTokens, masks, bestMask }: SummaryRow): string {
  return `${suite}, ${title}, ${thousands(contextTokens)} tokens: the best of ${masks} masks scores ${percent(bestMask)}\n`;
}

function renderGate({ suite, title, ofDense, passed }: GateResult, color: boolean): string {
  const paint = palette(color);
  const verdict = passed ? paint.green('passed') : paint.red('failed');
  return `${verdict}: ${suite}, ${title}: ${ofDense === null ? 'the dense model scores 0' : `${percent(ofDense)} of the dense score`}`;
}

export function renderPlan(plan: Plan, color: boolean): string {
  const rows = plan.variants.map(({ name, retrievalRatio, cacheBytes }) => [
    name,
    percent(retrievalRatio),
    percent(1 - retrievalRatio),
    formatBytes(cacheBytes),
  ]);
  return [
    `${thousands(plan.cells)} prompts x ${plan.variants.length} variants = ${thousands(plan.rows)} rows, ${thousands(plan.promptTokens)} tokens\n`,
    `about ${formatDuration(plan.estimatedMs)}, by the time of one prompt\n\n`,
    renderTable(['heads', 'retrieval ratio', 'sparsity', `cache at ${thousands(plan.contextTokens)} tokens`], rows, color),
  ].join('');
}
