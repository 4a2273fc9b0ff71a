/** Two patterns of one shape, side by side: do they rank heads alike, and which heads change sides at a ratio? */
import { at, InputError } from '../errors.js';
import { maskOf, rankHeads } from './mask.js';
import type { GateRows, Pattern } from './schema.js';

/** Gates at most this high in both patterns are both streaming, in whatever order; `spearmanActive` leaves them out. */
export const ACTIVE_GATE = 0.01;

export interface RatioOverlap {
  readonly fullHeads: number;
  readonly retrievalRatio: number;
  /** Heads full in both / heads full in either; 1 where neither has any. */
  readonly jaccard: number;
  /** Heads on different sides of the cut. */
  readonly flips: number;
}

export interface Comparison {
  /** Rank correlation of all gates, ties sharing their mean rank; null where one pattern has a single value. */
  readonly spearman: number | null;
  /** As spearman, over the heads whose gate is above 0.01 in either pattern. */
  readonly spearmanActive: number | null;
  readonly activeHeads: number;
  readonly pearson: number | null;
  readonly largestDifference: number;
  /** One row for each k of k/n, k = 0..n. */
  readonly rows: readonly RatioOverlap[];
}

export interface Flip {
  readonly layer: number;
  readonly head: number;
  readonly gates: readonly [a: number, b: number];
  /** The pattern that keeps the head full. */
  readonly fullIn: 'a' | 'b';
}

type Gated = Pick<Pattern, 'gates'>;

/** @throws InputError when the shapes differ */
export function comparePatterns(a: Gated, b: Gated): Comparison {
  checkSameShape(a, b);
  const [x, y] = [a.gates.flat(), b.gates.flat()];
  const active = x.flatMap((gate, i) => (Math.max(gate, at(y, i)) > ACTIVE_GATE ? [i] : []));
  const pick = (values: readonly number[]): number[] => active.map((i) => at(values, i));
  return {
    spearman: pearson(ranks(x), ranks(y)),
    spearmanActive: pearson(ranks(pick(x)), ranks(pick(y))),
    activeHeads: active.length,
    pearson: pearson(x, y),
    largestDifference: x.reduce((largest, gate, i) => Math.max(largest, Math.abs(gate - at(y, i))), 0),
    rows: overlaps(a.gates, b.gates),
  };
}

/** The heads that are full in one pattern and stream in the other when both keep `fullHeads`. @throws InputError */
export function flippedHeads(a: Gated, b: Gated, fullHeads: number): readonly Flip[] {
  checkSameShape(a, b);
  const [inA, inB] = [maskOf(a.gates, fullHeads), maskOf(b.gates, fullHeads)];
  return inA.flatMap((row, layer) =>
    row.flatMap((full, head): Flip[] =>
      full === at(at(inB, layer), head)
        ? []
        : [{ layer, head, gates: [at(at(a.gates, layer), head), at(at(b.gates, layer), head)], fullIn: full ? 'a' : 'b' }],
    ),
  );
}

function checkSameShape(a: Gated, b: Gated): void {
  const shape = ({ gates }: Gated): string => `${gates.length} x ${gates[0]?.length ?? 0}`;
  if (shape(a) === shape(b)) return;
  throw new InputError({
    code: 'pattern_shapes',
    what: 'the two patterns have different shapes',
    given: `${shape(a)} and ${shape(b)} (layers x KV heads)`,
    expected: 'patterns of one model',
  });
}

function overlaps(a: GateRows, b: GateRows): readonly RatioOverlap[] {
  const [byA, byB] = [rankHeads(a), rankHeads(b)].map((ranked) => ranked.map(({ layer, head }) => `${layer}.${head}`));
  const [inA, inB] = [new Set<string>(), new Set<string>()];
  let common = 0;
  const rows = [{ fullHeads: 0, retrievalRatio: 0, jaccard: 1, flips: 0 }];
  byA?.forEach((headA, i) => {
    const headB = at(byB ?? [], i);
    inA.add(headA);
    inB.add(headB);
    common += headA === headB ? 1 : Number(inB.has(headA)) + Number(inA.has(headB));
    const fullHeads = i + 1;
    const flips = 2 * (fullHeads - common);
    rows.push({ fullHeads, retrievalRatio: fullHeads / byA.length, jaccard: common / (2 * fullHeads - common), flips });
  });
  return rows;
}

/** Ranks from 1, equal values sharing the mean of theirs. */
function ranks(values: readonly number[]): number[] {
  const order = values.map((_, i) => i).sort((i, j) => at(values, i) - at(values, j));
  const result = new Array<number>(values.length).fill(0);
  for (let start = 0; start < order.length;) {
    let end = start;
    while (end < order.length && at(values, at(order, end)) === at(values, at(order, start))) end += 1;
    for (let i = start; i < end; i++) result[at(order, i)] = (start + 1 + end) / 2;
    start = end;
  }
  return result;
}

function pearson(x: readonly number[], y: readonly number[]): number | null {
  const mean = (values: readonly number[]): number => values.reduce((sum, value) => sum + value, 0) / values.length;
  const [meanX, meanY] = [mean(x), mean(y)];
  let [xx, yy, xy] = [0, 0, 0];
  x.forEach((value, i) => {
    const [dx, dy] = [value - meanX, at(y, i) - meanY];
    xx += dx * dx;
    yy += dy * dy;
    xy += dx * dy;
  });
  return xx === 0 || yy === 0 ? null : Math.max(-1, Math.min(1, xy / Math.sqrt(xx * yy)));
}
