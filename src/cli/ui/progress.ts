/** Progress on stderr: what every view of it has, and the plain one. */
import type { OnProgress, Progress } from '../../progress.js';

export interface ProgressView {
  readonly report: OnProgress;
  /** Takes the bar off the screen while `write` prints. */
  readonly pause: (write: () => void) => void;
  readonly end: () => void;
}

export interface Stream {
  write(text: string): unknown;
}

/** Work shorter than this shows nothing. */
export const QUIET_MS = 2_000;
/** Plain lines come this often at most. */
const LINE_MS = 5_000;

/** `12 s`, `3 min 20 s`, `2 h 5 min`. */
export function formatDuration(ms: number): string {
  const seconds = Math.round(ms / 1000);
  if (seconds < 60) return `${seconds} s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ${seconds % 60} s`;
  return `${Math.floor(seconds / 3600)} h ${Math.floor((seconds % 3600) / 60)} min`;
}

/** Time left at the pace so far, ms. */
export function etaMs(progress: Progress, startedMs: number, nowMs: number): number {
  return progress.done === 0 ? Number.NaN : ((nowMs - startedMs) / progress.done) * (progress.total - progress.done);
}

/** A plain line every few seconds. */
export function plainLines(stream: Stream, now: () => number): ProgressView {
  let stage = '';
  let startedMs = 0;
  let lastMs = 0;
  const report: OnProgress = (progress) => {
    const nowMs = now();
    if (progress.stage !== stage) [stage, startedMs, lastMs] = [progress.stage, nowMs, nowMs - LINE_MS + QUIET_MS];
    if (nowMs - lastMs < LINE_MS) return;
    lastMs = nowMs;
    const eta = etaMs(progress, startedMs, nowMs);
    const left = Number.isFinite(eta) ? `, ${formatDuration(eta)} left` : '';
    stream.write(
      `${progress.stage}: ${progress.done} of ${progress.total}${progress.note === undefined ? '' : `, ${progress.note}`}${left}\n`,
    );
  };
  return { report, pause: (write) => write(), end: () => undefined };
}
