/** Progress on stderr: a bar with an ETA on a terminal, a plain line every few seconds elsewhere. */
import { plainLines } from './progress.js';
import type { ProgressView, Stream } from './progress.js';

/** The view that `mode` names; the library of the bar is loaded only for a bar. */
export async function openProgress(mode: 'live' | 'plain' | 'none', stream: Stream, now = Date.now): Promise<ProgressView> {
  if (mode === 'none') return { report: () => undefined, pause: (write) => write(), end: () => undefined };
  return mode === 'live' ? (await import('./progress-bar.js')).liveBar(stream, now) : plainLines(stream, now);
}
