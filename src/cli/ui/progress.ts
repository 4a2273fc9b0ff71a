/** Progress on stderr: a bar with an ETA on a terminal, a plain line every few seconds elsewhere. */
import { Presets, SingleBar } from 'cli-progress';
import type { OnProgress, Progress } from '../../progress.js';

export interface ProgressView {
  readonly report: OnProgress;
  /** Takes the bar off the screen while `write` prints. */
  readonly pause: (write: () => void) => void;
  readonly end: () => void;
}

interface Stream {
  write(text: string): unknown;
}

/** Work shorter than this shows nothing. */
const QUIET_MS = 2_000;
/** Plain lines come this often at most. */
const LINE_MS = 5_000;

export function createProgress(mode: 'live' | 'plain' | 'none', stream: Stream, now: () => number = Date.now): ProgressView {
  if (mode === 'none') return { report: () => undefined, pause: (write) => write(), end: () => undefined };
  return mode === 'live' ? liveBar(stream, now) : plainLines(stream, now);
}

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

function plainLines(stream: Stream, now: () => number): ProgressView {
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

function liveBar(stream: Stream, now: () => number): ProgressView {
  let bar: SingleBar | undefined;
  let stage = '';
  let startedMs = 0;
  const stop = (): void => {
    bar?.stop();
    bar = undefined;
  };
  const report: OnProgress = (progress) => {
    const nowMs = now();
    if (progress.stage !== stage) {
      stop();
      [stage, startedMs] = [progress.stage, nowMs];
    }
    if (bar === undefined && nowMs - startedMs < QUIET_MS) return;
    const eta = etaMs(progress, startedMs, nowMs);
    const payload = { note: progress.note ?? '', left: Number.isFinite(eta) ? formatDuration(eta) : '?' };
    if (bar === undefined) {
      bar = new SingleBar(
        {
          format: `${stage} {bar} {value}/{total} {left} left {note}`,
          stream: stream as NodeJS.WritableStream,
          hideCursor: true,
          clearOnComplete: true,
          fps: 10,
        },
        Presets.shades_classic,
      );
      bar.start(progress.total, progress.done, payload);
    }
    bar.setTotal(progress.total);
    bar.update(progress.done, payload);
  };
  const pause = (write: () => void): void => {
    stop();
    write();
  };
  return { report, pause, end: stop };
}
