/** Rows summed up: per suite, variant and length; what a pattern keeps of the dense score; the gate; the heat map. */
import { InternalError } from '../errors.js';
import type { HeatMap } from '../report/heat-map.js';
import { heatPanels } from '../report/heat-map.js';
import type { EvaluationRow } from './row.js';
import { mean } from './score.js';

export type Scorer = 'strict' | 'substring';

export interface SummaryRow {
  readonly suite: string;
  /** `dense`, `pattern 50 %`, `random 50 %`, `all streaming`. */
  readonly title: string;
  readonly kind: EvaluationRow['kind'];
  readonly retrievalRatio: number;
  readonly contextTokens: number;
  /** Masks behind the row: more than one for random masks. */
  readonly masks: number;
  /** Scored samples, over all masks. */
  readonly samples: number;
  readonly strict: number;
  readonly substring: number | null;
  readonly words: number | null;
  /** Strict score of the best of several masks. */
  readonly bestMask: number;
  readonly cacheBytes: number;
  /** Strict score over the dense model's; null without dense rows, or where it scored 0. */
  readonly ofDense: number | null;
  /** cacheBytes over the dense model's. */
  readonly cacheShare: number | null;
}

/** In the order of the rows: suites, then lengths, then variants. */
export function summarize(rows: Iterable<EvaluationRow>): readonly SummaryRow[] {
  const groups = groupBy([...rows], (row) => JSON.stringify([row.suite, row.contextTokens, row.title]));
  const sums = [...groups.values()].map(sumUp);
  const dense = new Map(sums.filter(({ kind }) => kind === 'dense').map((sum) => [`${sum.suite}|${sum.contextTokens}`, sum]));
  return sums.map((sum) => {
    const beside = dense.get(`${sum.suite}|${sum.contextTokens}`);
    const ofDense = beside === undefined || beside.strict === 0 ? null : sum.strict / beside.strict;
    return { ...sum, ofDense, cacheShare: beside === undefined ? null : sum.cacheBytes / beside.cacheBytes };
  });
}

function sumUp(rows: readonly EvaluationRow[]): Omit<SummaryRow, 'ofDense' | 'cacheShare'> {
  const [first] = rows;
  if (first === undefined) throw new InternalError('an empty group of rows');
  const { suite, title, kind, retrievalRatio, contextTokens, cacheBytes } = first;
  const masks = [...groupBy(rows, (row) => row.variant).values()];
  return {
    ...{ suite, title, kind, retrievalRatio, contextTokens, cacheBytes },
    masks: masks.length,
    samples: rows.length,
    strict: mean(rows.map(({ scores }) => scores.strict)),
    substring: meanOrNull(rows.map(({ scores }) => scores.substring)),
    words: meanOrNull(rows.map(({ scores }) => scores.words)),
    bestMask: Math.max(...masks.map((own) => mean(own.map(({ scores }) => scores.strict)))),
  };
}

export interface GateResult {
  readonly suite: string;
  readonly title: string;
  /** Score over the dense model's, all lengths together; null where that is 0. */
  readonly ofDense: number | null;
  readonly passed: boolean;
}

/** Whether every pattern keeps `minScore` of the dense model's score in every suite. A suite the dense model fails cannot pass. */
export function checkGate(rows: Iterable<EvaluationRow>, scorer: Scorer, minScore: number): readonly GateResult[] {
  const groups = groupBy([...rows], (row) => JSON.stringify([row.suite, row.title]));
  const scores = [...groups.values()].map((own) => ({ row: own[0], score: mean(own.map((row) => scoreOf(row, scorer))) }));
  return scores.flatMap(({ row, score }) => {
    if (row?.kind !== 'pattern') return [];
    const dense = scores.find((other) => other.row?.kind === 'dense' && other.row.suite === row.suite)?.score ?? 0;
    const ofDense = dense === 0 ? null : score / dense;
    return [{ suite: row.suite, title: row.title, ofDense, passed: ofDense !== null && ofDense >= minScore }];
  });
}

/** The score of a row by the scorer asked for; answers that were not generated have only the strict one. */
export function scoreOf(row: EvaluationRow, scorer: Scorer): number {
  return scorer === 'substring' ? (row.scores.substring ?? row.scores.strict) : row.scores.strict;
}

export interface HeatOptions {
  readonly scorer: Scorer;
  readonly lengths: readonly number[];
  readonly depths: readonly number[];
  /** Titles of the variants, in the order of the panels. */
  readonly titles: readonly string[];
  readonly title: string;
  readonly caption: readonly string[];
}

/** The heat map of one suite. */
export function heatMapOf(rows: Iterable<EvaluationRow>, suite: string, options: HeatOptions): HeatMap {
  const { scorer, titles, title, caption } = options;
  const axes = { lengths: ascending(options.lengths), depths: ascending(options.depths) };
  const points = [...rows].flatMap((row) =>
    row.suite === suite && row.depth !== null
      ? [{ panel: row.title, length: row.contextTokens, depth: row.depth, score: scoreOf(row, scorer) }]
      : [],
  );
  return { title, caption, ...axes, panels: heatPanels(titles, axes, points) };
}

function ascending(values: readonly number[]): readonly number[] {
  return [...values].sort((a, b) => a - b);
}

function meanOrNull(values: readonly (number | null)[]): number | null {
  const known = values.filter((value) => value !== null);
  return known.length === 0 ? null : mean(known);
}

function groupBy<T>(values: readonly T[], keyOf: (value: T) => string): Map<string, T[]> {
  const groups = new Map<string, T[]>();
  for (const value of values) {
    const group = groups.get(keyOf(value));
    if (group === undefined) groups.set(keyOf(value), [value]);
    else group.push(value);
  }
  return groups;
}
