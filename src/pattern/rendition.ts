/**
 * The rank-preserving rendition of raw gates that goes into the TSV. Readers clip to [0, 1] and add noise below 1e-6 before they
 * cut, so gates that are equal, nearly equal or clipped together would be ranked by chance. The rendition keeps our ranking with
 * gaps that noise cannot close, and is the closest one to the clipped gates in the sum of squares: with the gaps subtracted that is
 * an isotonic regression, which pooling adjacent violators solves exactly, and bounds then only clip it.
 */
import { at } from '../errors.js';
import { rankHeads } from './mask.js';
import type { GateRows } from './schema.js';

/** Least gap between neighbours, with room for rounding: float64 numbers below 1 are off by 1e-16. */
const GAP = 2e-6 + 1e-15;

interface Block {
  /** Rank of its first head, from the lowest. */
  readonly start: number;
  readonly count: number;
  /** Sum of (gate - gap x rank). */
  readonly sum: number;
}

/** Float64 values in [0, 1], [layer][kvHead], strictly ordered as `rankHeads` orders the gates, neighbours at least 2e-6 apart. */
export function rendition(gates: GateRows): Float64Array[] {
  const ascending = [...rankHeads(gates)].reverse();
  const values = spread(ascending.map(({ gate }) => Math.min(1, Math.max(0, gate))));
  const rows = gates.map((row) => new Float64Array(row.length));
  ascending.forEach(({ layer, head }, rank) => {
    at(rows, layer)[head] = at(values, rank);
  });
  return rows;
}

/** The closest values to `sorted` (ascending, in [0, 1]) that are at least GAP apart and stay in [0, 1]. */
function spread(sorted: readonly number[]): number[] {
  const last = sorted.length - 1;
  const bounded = (value: number, rank: number): number => Math.min(1 - (last - rank) * GAP, Math.max(rank * GAP, value));
  return pool(sorted).flatMap(({ start, count, sum }) =>
    Array.from({ length: count }, (_, i) => {
      const rank = start + i;
      // A head alone in its block keeps its gate, to the bit.
      return bounded(count === 1 ? at(sorted, rank) : sum / count + rank * GAP, rank);
    }),
  );
}

function pool(sorted: readonly number[]): readonly Block[] {
  const blocks: Block[] = [];
  sorted.forEach((value, rank) => {
    let block: Block = { start: rank, count: 1, sum: value - rank * GAP };
    for (let before = blocks.at(-1); before !== undefined && mean(before) > mean(block); before = blocks.at(-1)) {
      blocks.pop();
      block = { start: before.start, count: before.count + block.count, sum: before.sum + block.sum };
    }
    blocks.push(block);
  });
  return blocks;
}

function mean(block: Block): number {
  return block.sum / block.count;
}
