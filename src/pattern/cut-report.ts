/**
 * How well a pattern knows where it cuts. For every ratio k/n: the gate at the cut, how many heads crowd around it, and whether
 * other seeds and earlier checkpoints of the same calibration would have kept the same heads.
 */
import { at } from '../errors.js';
import { rankHeads } from './mask.js';
import type { GateRows, Pattern } from './schema.js';

/** Heads this close to the gate at the cut are not told apart by gates kept in bfloat16 (two steps of its grid below 1). */
export const CROWD = 1 / 128;

export interface CutRow {
  readonly fullHeads: number;
  readonly retrievalRatio: number;
  readonly sparsity: number;
  /** The lowest raw gate that stays full; null at ratio 0. */
  readonly gateAtCut: number | null;
  /** Heads whose gate is within 1/128 of it, itself included. */
  readonly within: number;
  /** Heads with exactly its gate, itself included. */
  readonly ties: number;
  /** The tie goes through the cut: the order of layers and heads decides, not the gates. */
  readonly tieSplit: boolean;
  /** Share of the kept heads that every seed keeps; null without several seeds, and at ratio 0. */
  readonly seedAgreement: number | null;
  /** Share of the kept heads that all of the last checkpoints keep; null without several, and at ratio 0. */
  readonly checkpointAgreement: number | null;
}

export interface CutReport {
  /** Share of gates below 0.05 or above 0.95. */
  readonly settledShare: number;
  readonly meanGate: number;
  readonly seeds: number;
  readonly checkpoints: number;
  /** One row for each k of k/n, k = 0..n. */
  readonly rows: readonly CutRow[];
}

export function cutReport(pattern: Pick<Pattern, 'gates' | 'calibration'>): CutReport {
  const ranked = rankHeads(pattern.gates).map(({ gate }) => gate);
  const seeds = pattern.calibration?.seedGates ?? [];
  const checkpoints = pattern.calibration?.checkpoints.map(({ gates }) => gates) ?? [];
  const seedAgreement = agreement(seeds);
  const checkpointAgreement = agreement(checkpoints);
  return {
    settledShare: ranked.filter((gate) => gate < 0.05 || gate > 0.95).length / ranked.length,
    meanGate: ranked.reduce((sum, gate) => sum + gate, 0) / ranked.length,
    seeds: seeds.length,
    checkpoints: checkpoints.length,
    rows: Array.from({ length: ranked.length + 1 }, (_, k) => ({
      ...cutRow(ranked, k),
      seedAgreement: seedAgreement?.[k] ?? null,
      checkpointAgreement: checkpointAgreement?.[k] ?? null,
    })),
  };
}

type OwnRow = Omit<CutRow, 'seedAgreement' | 'checkpointAgreement'>;

function cutRow(ranked: readonly number[], fullHeads: number): OwnRow {
  const gateAtCut = fullHeads === 0 ? null : at(ranked, fullHeads - 1);
  return {
    fullHeads,
    retrievalRatio: fullHeads / ranked.length,
    sparsity: (ranked.length - fullHeads) / ranked.length,
    gateAtCut,
    within: gateAtCut === null ? 0 : ranked.filter((gate) => Math.abs(gate - gateAtCut) <= CROWD).length,
    ties: gateAtCut === null ? 0 : ranked.filter((gate) => gate === gateAtCut).length,
    tieSplit: gateAtCut !== null && ranked[fullHeads] === gateAtCut,
  };
}

/**
 * For each k, the share of k heads that the top k of all the matrices have in common; undefined for fewer than two matrices.
 * A head is common from the k on at which the last of them admits it.
 */
function agreement(matrices: readonly GateRows[]): readonly (number | null)[] | undefined {
  if (matrices.length < 2) return undefined;
  const worstRank = new Map<string, number>();
  for (const gates of matrices) {
    rankHeads(gates).forEach(({ layer, head }, rank) => {
      const key = `${layer}.${head}`;
      worstRank.set(key, Math.max(rank, worstRank.get(key) ?? 0));
    });
  }
  const admitted = new Array<number>(worstRank.size + 1).fill(0);
  for (const rank of worstRank.values()) admitted[rank + 1] = at(admitted, rank + 1) + 1;
  let common = 0;
  return admitted.map((count, k) => {
    common += count;
    return k === 0 ? null : common / k;
  });
}

/** The rows of a short table, from the highest ratio down. */
export function shortRows(report: CutReport): readonly CutRow[] {
  const counts = eighths(report.rows.length - 1);
  return report.rows.filter(({ fullHeads }) => counts.has(fullHeads)).reverse();
}

/** Numbers of full heads at one to seven eighths, as near as whole heads allow. */
export function eighths(heads: number): ReadonlySet<number> {
  const counts = [1, 2, 3, 4, 5, 6, 7].map((eighth) => Math.round((heads * eighth) / 8));
  return new Set(counts.filter((count) => count > 0 && count < heads));
}
