/**
 * Gates to masks. All heads of the model are ranked together, by raw gate; among equal gates the lower (layer, head) ranks
 * higher. At sparsity s of n heads the last ceil((n - 1) s) stream, as the reference's quantile has it; s = 1 streams them all.
 */
import { at, InputError } from '../errors.js';
import type { GateRows, Mask } from './schema.js';

export interface Head {
  readonly layer: number;
  readonly head: number;
  /** Raw gate. */
  readonly gate: number;
}

/** Where to cut: a share of heads, a gate, or a number of heads. Shares and thresholds are from 0 to 1. */
export interface Cut {
  readonly by: 'retrievalRatio' | 'sparsity' | 'threshold' | 'fullHeads';
  readonly value: number;
}

/** What `1 - 0.7` and its kind are off by, with room: a count this close to a whole number is that number. */
const COUNT_TOLERANCE = 1e-9;

/** Every head, from the last to be streamed to the first. */
export function rankHeads(gates: GateRows): readonly Head[] {
  const heads = gates.flatMap((row, layer) => Array.from(row, (gate, head): Head => ({ layer, head, gate })));
  // The sort is stable, so equal gates keep the order of (layer, head).
  return heads.sort((a, b) => b.gate - a.gate);
}

/** How many of `heads` stream at a sparsity. */
export function streamingCount(heads: number, sparsity: number): number {
  if (sparsity <= 0) return 0;
  if (sparsity >= 1) return heads;
  const count = (heads - 1) * sparsity;
  const whole = Math.round(count);
  return Math.abs(count - whole) < COUNT_TOLERANCE * heads ? whole : Math.ceil(count);
}

/** How many heads stay full at a cut. @throws InputError when the cut is out of range. */
export function fullHeadCount(gates: GateRows, cut: Cut): number {
  const heads = gates.reduce((sum, row) => sum + row.length, 0);
  const highest = cut.by === 'fullHeads' ? heads : 1;
  if (!(cut.value >= 0 && cut.value <= highest) || (cut.by === 'fullHeads' && !Number.isInteger(cut.value)))
    throw new InputError({
      code: 'cut_range',
      what: `${cut.by} is out of range`,
      given: String(cut.value),
      expected: cut.by === 'fullHeads' ? `a whole number from 0 to ${heads}` : 'a number from 0 to 1',
    });
  switch (cut.by) {
    case 'fullHeads':
      return cut.value;
    case 'sparsity':
      return heads - streamingCount(heads, cut.value);
    case 'retrievalRatio':
      return heads - streamingCount(heads, 1 - cut.value);
    case 'threshold':
      return countAtLeast(gates, cut.value);
  }
}

/** Gates are compared as every reader of the exported matrix does: clipped to [0, 1]; the threshold is a float32, as they are. */
function countAtLeast(gates: GateRows, threshold: number): number {
  const bound = Math.fround(threshold);
  const clipped = (gate: number): number => Math.min(1, Math.max(0, gate));
  return gates.reduce((sum, row) => sum + Array.from(row).filter((gate) => clipped(gate) >= bound).length, 0);
}

/** The mask of a pattern, or of any gates, at a cut: true = retrieval head. Pure and deterministic. @throws InputError */
export function toMask(pattern: { readonly gates: GateRows }, cut: Cut): Mask {
  return maskOf(pattern.gates, fullHeadCount(pattern.gates, cut));
}

/** The mask that keeps the `fullHeads` highest-ranked heads full. */
export function maskOf(gates: GateRows, fullHeads: number): Mask {
  const rows = gates.map((row) => new Array<boolean>(row.length).fill(false));
  for (const { layer, head } of rankHeads(gates).slice(0, fullHeads)) at(rows, layer)[head] = true;
  return rows;
}

export function countFull(mask: Mask): number {
  return mask.reduce((sum, row) => sum + row.filter(Boolean).length, 0);
}
