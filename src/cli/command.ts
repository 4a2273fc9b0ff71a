/** What a command is. A command takes validated options and returns data; src/cli/program.ts does the rest. */
import type { Origin } from '../config/resolve.js';
import type { ExitCode, Warn } from '../errors.js';
import type { OnProgress } from '../progress.js';
import type { COMMON_FLAGS, FlagName, FlagValue } from './flags.js';

type Common = (typeof COMMON_FLAGS)[number];

/** Options of a command with flags F, of which D have defaults. */
export type Options<F extends FlagName, D extends FlagName> = {
  readonly [N in F | Common as N extends D | 'format' | 'device' | 'progress' ? N : never]: FlagValue<N>;
} & {
  readonly [N in F | Common as N extends D | 'format' | 'device' | 'progress' ? never : N]?: FlagValue<N> | undefined;
};

/** The world a command may touch. */
export interface Io {
  /** Text for stdout while running (streamed completions); the result itself is returned. Silent under --format json. */
  readonly write: (text: string) => void;
  /** Text for stderr beside the result, such as a speed. Silent under --format json, which has it in the result. */
  readonly note: (text: string) => void;
  readonly warn: Warn;
  readonly onProgress: OnProgress;
  /** Aborted by Ctrl-C; long work checks it between steps, keeps what it has, and throws InterruptedError. */
  readonly signal: AbortSignal;
  /** stdout is a terminal that takes colour (NO_COLOR, FORCE_COLOR and TERM=dumb are honoured). */
  readonly color: boolean;
  /** Columns of the terminal, 80 when there is none. */
  readonly columns: number;
  /** Where a live screen may be drawn (stderr, on a terminal); absent: plain lines through onProgress. */
  readonly screen?: NodeJS.WriteStream;
  /** The screen takes colour. */
  readonly screenColor: boolean;
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly origins: Readonly<Record<string, Origin>>;
}

export interface CommandResult {
  /** What `--format json` prints, inside the envelope {schema, tool, warnings, result}. */
  readonly json: Readonly<Record<string, unknown>>;
  /** What stdout gets otherwise. */
  readonly text: string;
  readonly exitCode?: ExitCode;
}

export interface Command {
  readonly name: string;
  readonly summary: string;
  /** Positional arguments as commander writes them: `<pattern>`, `[other]`, `[paths...]`. */
  readonly positionals: readonly string[];
  readonly flags: readonly FlagName[];
  readonly defaults: Readonly<Partial<Record<FlagName, unknown>>>;
  /** Help of flags that mean something narrower here than in the table. */
  readonly help: Readonly<Partial<Record<FlagName, string>>>;
  /** `--config` names an input of the command, not a file of settings. */
  readonly configIsInput: boolean;
  /** Command lines shown in --help; a test parses each. */
  readonly examples: readonly string[];
  readonly subcommands: readonly Command[];
  /** What --print-config shows where presets or the model fill in what flags leave open, by the flags' names. */
  readonly settings?: (options: never, environment: Io['environment']) => Readonly<Record<string, unknown>>;
  readonly run: (options: never, io: Io, positionals: readonly string[]) => Promise<CommandResult>;
}

interface Definition<F extends FlagName, D extends F> {
  readonly name: string;
  readonly summary: string;
  readonly positionals?: readonly string[];
  readonly flags: readonly F[];
  readonly defaults?: { readonly [N in D]: FlagValue<N> };
  readonly help?: Readonly<Partial<Record<FlagName, string>>>;
  readonly configIsInput?: boolean;
  readonly examples: readonly string[];
  readonly subcommands?: readonly Command[];
  readonly settings?: (options: Options<F, D>, environment: Io['environment']) => Readonly<Record<string, unknown>>;
  readonly run: (options: Options<F, D>, io: Io, positionals: readonly string[]) => Promise<CommandResult>;
}

export function defineCommand<const F extends FlagName, D extends F = never>(definition: Definition<F, D>): Command {
  return { positionals: [], defaults: {}, help: {}, configIsInput: false, subcommands: [], ...definition };
}
