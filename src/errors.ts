/**
 * Every error thrown on purpose. An error is data: what was wrong, what was given, what was expected
 * and what to try next; `renderError` in src/cli turns it into text. Only bin/ ends the process.
 */

/** 0 done · 1 failed while running · 2 usage, configuration or input · 3 a gate failed · 4 environment · 5 out of memory · 130 interrupted. */
export type ExitCode = 0 | 1 | 2 | 3 | 4 | 5 | 130;

export interface ErrorFacts {
  /** Stable snake_case identifier, e.g. `pattern_shape`. */
  readonly code: string;
  /** What was wrong, one sentence without a final full stop. */
  readonly what: string;
  /** The value or file at fault, as the user gave it. */
  readonly given?: string;
  readonly expected?: string;
  /** The next thing to do, naming the flag or command. */
  readonly hint?: string;
  readonly cause?: unknown;
}

export class DuoError extends Error {
  readonly code: string;
  readonly facts: ErrorFacts;
  readonly exitCode: ExitCode;

  constructor(exitCode: ExitCode, facts: ErrorFacts) {
    super(facts.what, facts.cause === undefined ? undefined : { cause: facts.cause });
    this.name = new.target.name;
    this.code = facts.code;
    this.facts = facts;
    this.exitCode = exitCode;
  }
}

/** Wrong usage, configuration or input file (exit 2). */
export class InputError extends DuoError {
  constructor(facts: ErrorFacts) {
    super(2, facts);
  }
}

/** A score or comparison fell below what was asked (exit 3). */
export class GateError extends DuoError {
  constructor(facts: ErrorFacts) {
    super(3, facts);
  }
}

/** Something the machine lacks (exit 4). */
export class EnvironmentError extends DuoError {
  constructor(facts: ErrorFacts) {
    super(4, facts);
  }
}

/** Memory is, or would be, short (exit 5); the hint names the setting to change. */
export class MemoryError extends DuoError {
  constructor(facts: ErrorFacts) {
    super(5, facts);
  }
}

/** Stopped by the user; partial results are kept and `hint` says how to go on (exit 130). */
export class InterruptedError extends DuoError {
  constructor(facts: ErrorFacts) {
    super(130, facts);
  }
}

/** A state that cannot be: our bug, not the user's (exit 1). */
export class InternalError extends DuoError {
  constructor(what: string, cause?: unknown) {
    super(1, { code: 'internal', what: `internal: ${what}`, ...(cause === undefined ? {} : { cause }) });
  }
}

/** Something that did not stop the work but that the user must know; part of every JSON result. */
export interface Warning {
  /** Stable snake_case identifier, e.g. `tensorflow_missing`. */
  readonly code: string;
  readonly message: string;
  readonly hint?: string;
}

export type Warn = (warning: Warning) => void;

/** `value` at `index`, or an internal error: for indices that were checked before. */
export function at<T>(values: ArrayLike<T>, index: number): T {
  const value = values[index];
  if (value === undefined) throw new InternalError(`index ${index} outside 0..${values.length - 1}`);
  return value;
}
