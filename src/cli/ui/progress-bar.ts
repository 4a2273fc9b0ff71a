/** Progress as a bar that redraws itself, for a terminal. */
import { Presets, SingleBar } from 'cli-progress';
import type { OnProgress } from '../../progress.js';
import { etaMs, formatDuration, QUIET_MS } from './progress.js';
import type { ProgressView, Stream } from './progress.js';

export function liveBar(stream: Stream, now: () => number): ProgressView {
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
