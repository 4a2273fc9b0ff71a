/** `duo inspect diff A B`: do two patterns rank heads alike, and which heads change sides at a cut? */
import { comparePatterns, flippedHeads } from '../../pattern/compare.js';
import type { Comparison, Flip, RatioOverlap } from '../../pattern/compare.js';
import { eighths } from '../../pattern/cut-report.js';
import { requestedCut, resolveCut } from '../../pattern/cut.js';
import { maskOf } from '../../pattern/mask.js';
import { patternHash } from '../../pattern/hash.js';
import { readPattern } from '../../pattern/read.js';
import type { Pattern } from '../../pattern/schema.js';
import { percent } from '../../report/format.js';
import { defineCommand } from '../command.js';
import { formatGate } from '../ui/cut-text.js';
import { differenceMap, renderHeadMaps } from '../ui/gate-map.js';
import { renderTable } from '../ui/table.js';

/** Most heads listed by name; all are in the JSON. */
const LISTED_FLIPS = 12;

export const inspectDiffCommand = defineCommand({
  name: 'diff',
  summary: 'compare two patterns: rank correlation, overlap at every ratio, heads that change sides',
  positionals: ['<a>', '<b>'],
  flags: ['retrievalRatio', 'sparsity'],
  help: { retrievalRatio: 'the ratio of the picture (default: 0.5)' },
  examples: ['duo inspect diff runs/a/pattern runs/b/pattern --retrieval-ratio 0.25'],
  run: async (options, io, positionals) => {
    const read = (path: string): Pattern => readPattern(path, { warn: io.warn, assumeWindow: true });
    const [a, b] = [read(positionals[0] ?? ''), read(positionals[1] ?? '')];
    const comparison = comparePatterns(a, b);
    const { fullHeads, retrievalRatio: ratio, mask } = resolveCut(a, requestedCut(options, { by: 'retrievalRatio', value: 0.5 }));
    const flips = flippedHeads(a, b, fullHeads);
    const map = differenceMap(`heads at ratio ${percent(ratio)}`, mask, maskOf(b.gates, fullHeads));
    return {
      json: { a: nameOf(a), b: nameOf(b), ...comparison, fullHeads, retrievalRatio: ratio, flips },
      text: [
        ...[a, b].map((pattern, i) => `${'AB'[i]}: ${pattern.model.id}, pattern ${patternHash(pattern).slice(0, 12)} (${positionals[i]})`),
        '',
        ...correlations(comparison),
        '',
        overlapTable(comparison.rows, io.color),
        ...renderHeadMaps([map], io),
        '',
        ...flipLines(flips),
        '',
      ].join('\n'),
    };
  },
});

function nameOf(pattern: Pattern): Readonly<Record<string, unknown>> {
  return { model: pattern.model, hash: patternHash(pattern) };
}

function correlations({ spearman, spearmanActive, activeHeads, pearson, largestDifference }: Comparison): readonly string[] {
  const number = (value: number | null): string => (value === null ? 'undefined (one value only)' : value.toFixed(4));
  return [
    `Spearman ${number(spearman)}; over the ${activeHeads} heads above 0.01 in either, ${number(spearmanActive)}`,
    `Pearson ${number(pearson)}; largest difference of a gate ${largestDifference.toFixed(4)}`,
  ];
}

function overlapTable(rows: readonly RatioOverlap[], color: boolean): string {
  const counts = eighths(rows.length - 1);
  const shown = rows.filter(({ fullHeads }) => counts.has(fullHeads)).reverse();
  const cells = shown.map(({ retrievalRatio, jaccard, flips }) => [percent(retrievalRatio), jaccard.toFixed(3), String(flips)]);
  return renderTable(['ratio', 'Jaccard', 'heads that differ'], cells, color);
}

function flipLines(flips: readonly Flip[]): readonly string[] {
  if (flips.length === 0) return ['the two masks are the same'];
  const lines = flips.slice(0, LISTED_FLIPS).map(({ layer, head, gates, fullIn }) => {
    const [a, b] = gates.map(formatGate);
    return `layer ${layer} head ${head}: full in ${fullIn.toUpperCase()} only (A ${a}, B ${b})`;
  });
  const more = flips.length - lines.length;
  return more > 0 ? [...lines, `and ${more} more (--format json has all)`] : lines;
}
