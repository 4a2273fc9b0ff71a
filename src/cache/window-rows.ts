/**
 * Where a head that keeps a window of the tokens has them. The first `sink` rows hold the first tokens for good; the other `recent` rows are a
 * ring: position p >= sink lies in row sink + (p - sink) mod recent. Nothing moves when tokens are dropped, and keys
 * keep the rotary embedding of their absolute position.
 */
/** Sizes of a per-token window that heads keep. */
export interface CacheWindow {
  /** First tokens kept. */
  readonly sink: number;
  /** Latest tokens kept, the current one included. */
  readonly recent: number;
}

/** Tokens at positions position..position+count-1 in the adjacent rows row..row+count-1. */
export interface Run {
  readonly position: number;
  readonly row: number;
  readonly count: number;
}

/** What is held after `tokens` tokens, in order of position. */
export function heldRuns(window: CacheWindow, tokens: number): Run[] {
  return keptRuns(window, 0, tokens);
}

/** Which of the tokens start..end-1 are still held once there are `end` tokens, in order of position. */
export function keptRuns(window: CacheWindow, start: number, end: number): Run[] {
  const sinkEnd = Math.min(window.sink, end);
  const recentStart = Math.max(window.sink, end - window.recent, start);
  const sinks = start < sinkEnd ? [{ position: start, row: start, count: sinkEnd - start }] : [];
  return [...sinks, ...ringRuns(window, recentStart, end)];
}

/** The row of a token, for as long as it is held. */
export function rowOf({ sink, recent }: CacheWindow, position: number): number {
  return position < sink ? position : sink + ((position - sink) % recent);
}

/** The tokens of `runs` that `others` have as well, in the rows of `runs`; both in order of position. */
export function commonRuns(runs: readonly Run[], others: readonly Run[]): Run[] {
  return runs.flatMap((run) =>
    others.flatMap((other) => {
      const position = Math.max(run.position, other.position);
      const count = Math.min(run.position + run.count, other.position + other.count) - position;
      return count > 0 ? [{ position, row: run.row + position - run.position, count }] : [];
    }),
  );
}

function ringRuns(window: CacheWindow, start: number, end: number): Run[] {
  const runs: Run[] = [];
  for (let position = start; position < end;) {
    const row = rowOf(window, position);
    const count = Math.min(end - position, window.sink + window.recent - row);
    runs.push({ position, row, count });
    position += count;
  }
  return runs;
}

/** Positions of `runs` one after the other. */
export function positionsOf(runs: readonly Run[]): Int32Array {
  const positions = new Int32Array(runs.reduce((sum, run) => sum + run.count, 0));
  let row = 0;
  for (const { position, count } of runs) for (let offset = 0; offset < count; offset++) positions[row++] = position + offset;
  return positions;
}

/** Position that each row holds after `tokens` tokens, in order of row. */
export function positionsByRow(window: CacheWindow, tokens: number): Int32Array {
  return positionsOf(heldRuns(window, tokens).sort((a, b) => a.row - b.row));
}
