/** What is tried again, how often, and when a silent connection is given up. */
import { setTimeout as wait } from 'node:timers/promises';
import { DuoError, InterruptedError } from '../../errors.js';

/** What may go well if tried again: a dropped connection, a busy server. */
export class Transient extends Error {
  /** Bytes that came before it failed. */
  readonly gainedBytes: number;
  /** How long the server asks to wait, ms. */
  readonly retryAfterMs: number;

  constructor(reason: string, facts: { readonly gainedBytes?: number; readonly retryAfterMs?: number; readonly cause?: unknown } = {}) {
    super(reason, { cause: facts.cause });
    this.gainedBytes = facts.gainedBytes ?? 0;
    this.retryAfterMs = facts.retryAfterMs ?? 0;
  }
}

export interface Patience {
  /** Pauses between attempts, ms; one attempt more than there are pauses. */
  readonly pausesMs: readonly number[];
  /** A connection that is silent for so long is dropped. */
  readonly stallMs: number;
  readonly sleep: (ms: number, signal: AbortSignal | undefined) => Promise<void>;
}

export const PATIENCE: Patience = {
  pausesMs: [1_000, 2_000, 4_000, 8_000],
  stallMs: 30_000,
  sleep: async (ms, signal) => void (await wait(ms, undefined, signal === undefined ? {} : { signal })),
};

/** A server that asks for a longer pause is not waited for. */
const MAX_PAUSE_MS = 60_000;
/** An attempt that brought so much was worth it: the count starts again. */
const WORTHWHILE_BYTES = 1 << 20;

/**
 * Repeats `attempt` while it fails with what may pass.
 * @throws Transient the last one, when patience ends; InterruptedError when `signal` is aborted; whatever else `attempt` throws.
 */
export async function retrying<T>(attempt: () => Promise<T>, patience: Patience, signal: AbortSignal | undefined): Promise<T> {
  for (let failures = 0; ;) {
    try {
      return await attempt();
    } catch (error) {
      if (!(error instanceof Transient)) throw error;
      failures = error.gainedBytes >= WORTHWHILE_BYTES ? 1 : failures + 1;
      const pauseMs = patience.pausesMs[failures - 1];
      if (pauseMs === undefined || error.retryAfterMs > MAX_PAUSE_MS) throw error;
      await pause(Math.max(pauseMs, error.retryAfterMs), patience, signal);
    }
  }
}

/** Waits. @throws InterruptedError when `signal` is aborted */
export async function pause(ms: number, patience: Patience, signal: AbortSignal | undefined): Promise<void> {
  try {
    await patience.sleep(ms, signal);
  } catch (error) {
    if (signal?.aborted !== true) throw error;
  }
  stopIfAborted(signal);
}

export function stopIfAborted(signal: AbortSignal | undefined): void {
  if (signal?.aborted !== true) return;
  throw new InterruptedError({
    code: 'interrupted',
    what: 'stopped while fetching the model; what came is kept',
    hint: 'the same command goes on where this one stopped',
  });
}

/**
 * Runs one exchange with the network, whose signal is aborted by `signal` or when `heard` was not called for `stallMs`.
 * @throws Transient for every failure of the network; InterruptedError; our own errors and those of files as `exchange` throws them.
 */
export async function connected<T>(
  exchange: (signal: AbortSignal, heard: () => void) => Promise<T>,
  { stallMs }: Patience,
  signal: AbortSignal | undefined,
): Promise<T> {
  stopIfAborted(signal);
  const connection = new AbortController();
  const abort = (): void => connection.abort();
  const timer = setTimeout(abort, stallMs);
  signal?.addEventListener('abort', abort, { once: true });
  try {
    return await exchange(connection.signal, () => timer.refresh());
  } catch (error) {
    stopIfAborted(signal);
    if (error instanceof DuoError || error instanceof Transient || isFileError(error)) throw error;
    throw new Transient(connection.signal.aborted ? `nothing came for ${stallMs / 1000} s` : reasonOf(error), { cause: error });
  } finally {
    clearTimeout(timer);
    signal?.removeEventListener('abort', abort);
    connection.abort();
  }
}

/** Whether the file system failed; what `fetch` throws keeps the system's word in its cause. */
export function isFileError(error: unknown): error is NodeJS.ErrnoException {
  return error instanceof Error && !(error instanceof DuoError) && typeof (error as NodeJS.ErrnoException).syscall === 'string';
}

/** The words of a failed fetch, which says `fetch failed` and keeps why in its cause. */
function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const { cause } = error;
  return cause instanceof Error ? cause.message || ((cause as NodeJS.ErrnoException).code ?? error.message) : error.message;
}
