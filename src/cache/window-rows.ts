/**
 * Where a streaming head's cache keeps a token. The first `sink` rows hold the first tokens for good; the other `recent` rows are a
 * ring: position p >= sink lies in row sink + (p - sink) mod recent. Nothing moves when tokens are dropped, and keys
 * keep the rotary embedding of their absolute position.
 */
import { positionsFrom } from '../model/rope.js';

/** Sizes of the per-token window that streaming heads keep. */
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

function ringRuns(window: CacheWindow, start: number, end: number): Run[] {
  const runs: Run[] = [];
  for (let position = start; position < end;) {
    const offset = (position - window.sink) % window.recent;
    const count = Math.min(end - position, window.recent - offset);
    runs.push({ position, row: window.sink + offset, count });
    position += count;
  }
  return runs;
}

/** Positions of `runs` one after the other. */
export function positionsOf(runs: readonly Run[]): Int32Array {
  return Int32Array.from(runs.flatMap((run) => [...positionsFrom(run.position, run.count)]));
}

/** Position that each row holds after `tokens` tokens, in order of row. */
export function positionsByRow(window: CacheWindow, tokens: number): Int32Array {
  return positionsOf(heldRuns(window, tokens).sort((a, b) => a.row - b.row));
}
