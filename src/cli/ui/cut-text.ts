/** A cut in words: ratio, sparsity, gate and bytes, always all of them. */
import type { CutReport, CutRow } from '../../pattern/cut-report.js';
import { shortRows } from '../../pattern/cut-report.js';
import type { ResolvedCut } from '../../pattern/cut.js';
import { formatBytes, percent, thousands } from '../../report/format.js';
import { renderTable } from './table.js';

/** A raw gate with the digits that tell it from its neighbours on a bfloat16 grid: `0.9609`, `-1.3e-4`. */
export function formatGate(gate: number | null): string {
  if (gate === null) return '-';
  return gate !== 0 && Math.abs(gate) < 0.0005 ? gate.toExponential(1) : gate.toFixed(4);
}

/** Two lines: the heads, and what they weigh where that is known. */
export function cutLines(cut: ResolvedCut): readonly string[] {
  const heads = cut.fullHeads + cut.streamingHeads;
  const gate = cut.threshold === null ? 'no gate' : `gate >= ${formatGate(cut.threshold)}`;
  const shares = `retrieval ratio ${percent(cut.retrievalRatio)} = sparsity ${percent(cut.sparsity)} = ${gate}`;
  return [`${shares}: ${cut.fullHeads} of ${heads} KV heads full`, `cache: ${cacheText(cut)}`];
}

function cacheText({ cacheBytes, denseBytes, cacheShare, contextTokens, bytesPerElement }: ResolvedCut): string {
  if (cacheShare === null || contextTokens === null) return 'unknown, the pattern does not say for which context (--context, --model)';
  const at = `at ${thousands(contextTokens)} tokens`;
  if (cacheBytes === null || denseBytes === null)
    return `${percent(cacheShare)} of the dense cache ${at} (bytes need the head size: --model)`;
  return `${formatBytes(cacheBytes)} of ${formatBytes(denseBytes)} (${percent(cacheShare)}) ${at}, ${8 * bytesPerElement}-bit elements`;
}

type Column = readonly [title: string, cell: (row: CutRow) => string];

/** The short cut table: one line for each eighth of the heads. */
export function cutTable(report: CutReport, color: boolean): string {
  const columns: Column[] = [
    ['ratio', (row) => percent(row.retrievalRatio)],
    ['full heads', (row) => String(row.fullHeads)],
    ['gate at the cut', (row) => formatGate(row.gateAtCut)],
    ['within 1/128', (row) => String(row.within)],
    ['exact ties', (row) => (row.ties > 1 ? `${row.ties}${row.tieSplit ? ' (split)' : ''}` : '0')],
    ...agreementColumns(report),
  ];
  const cells = shortRows(report).map((row) => columns.map(([, cell]) => cell(row)));
  return renderTable(
    columns.map(([title]) => title),
    cells,
    color,
  );
}

function agreementColumns({ seeds, checkpoints }: CutReport): Column[] {
  const share = (value: number | null): string => (value === null ? '-' : percent(value));
  return [
    ...(seeds > 1 ? [['seeds agree', (row: CutRow) => share(row.seedAgreement)] as const] : []),
    ...(checkpoints > 1 ? [['checkpoints agree', (row: CutRow) => share(row.checkpointAgreement)] as const] : []),
  ];
}
