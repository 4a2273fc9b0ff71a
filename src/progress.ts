/** How work below the command line reports how far it is; src/cli/ui decides how that looks. */
export interface Progress {
  /** What is being done, e.g. `loading weights`. One word per idea, lower case. */
  readonly stage: string;
  readonly done: number;
  readonly total: number;
  /** A short fact about the present item, e.g. `1,024 tokens at depth 0.5`. */
  readonly note?: string;
}

export type OnProgress = (progress: Progress) => void;

/** Lets timers, signals and the live screen run between two pieces of synchronous work. */
export function breathe(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
