/**
 * The commander program: built from the command list and the flag table. `run` parses a command line, resolves the
 * settings, runs the command, prints its result and gives the exit code; it never ends the process.
 */
import { Command as Commander, CommanderError } from 'commander';
import type { z } from 'zod';
import { environmentValues, resolve } from '../config/resolve.js';
import type { Resolved } from '../config/resolve.js';
import { InputError } from '../errors.js';
import type { ExitCode, Warning } from '../errors.js';
import { TOOL, VERSION } from '../version.js';
import type { Command, CommandResult, Io } from './command.js';
import { loadCommands } from './commands/index.js';
import { COMMON_FLAGS, FLAGS } from './flags.js';
import type { FlagName } from './flags.js';
import { errorJson, exitCodeOf, renderError, renderWarning } from './render.js';
import { openProgress } from './ui/open-progress.js';

/** What the program needs of the process; tests give their own. */
export interface Terminal {
  readonly stdout: { write(text: string): unknown; readonly isTTY?: boolean; readonly columns?: number };
  readonly stderr: { write(text: string): unknown; readonly isTTY?: boolean; readonly columns?: number };
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly signal: AbortSignal;
}

const COMMON_DEFAULTS = { format: 'text', device: 'auto', progress: 'auto' } as const;

interface Call {
  readonly command: Command;
  /** The names that lead to it: `inspect diff`. */
  readonly verb: string;
  readonly flags: Readonly<Record<string, unknown>>;
  readonly positionals: readonly string[];
}

/** Runs one command line (without `node` and the script). */
export async function run(argv: readonly string[], terminal: Terminal): Promise<ExitCode> {
  let format: unknown = argv.some((word, index) => word === '--format=json' || (word === '--format' && argv[index + 1] === 'json'))
    ? 'json'
    : 'text';
  const warnings: Warning[] = [];
  try {
    const call = await parse(argv, terminal);
    if (call === undefined) return 0;
    const settings = await resolveSettings(call, terminal.environment);
    format = settings.values['format'];
    if (settings.values['printConfig'] === true) {
      terminal.stdout.write(await renderSettings(withFilled(call.command, settings, terminal.environment), format === 'json'));
      return 0;
    }
    return await execute(call, settings, terminal, warnings);
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : 2;
    if (format === 'json')
      terminal.stdout.write(`${JSON.stringify({ schema: 'duo-error/1', tool: TOOL, warnings, error: errorJson(error) }, null, 2)}\n`);
    terminal.stderr.write(renderError(error, hasColor(terminal.stderr, terminal.environment)));
    return exitCodeOf(error);
  }
}

/** Parses a command line; undefined when commander printed help or the version. @throws CommanderError, InputError */
export async function parse(argv: readonly string[], terminal: Pick<Terminal, 'stdout' | 'stderr'>): Promise<Call | undefined> {
  let call: Call | undefined;
  const program = buildProgram(await loadCommands(argv[0]), terminal, (found) => (call = found));
  if (argv.length === 0) {
    program.outputHelp();
    return undefined;
  }
  program.parse([...argv], { from: 'user' });
  return call;
}

function buildProgram(
  commands: readonly Command[],
  terminal: Pick<Terminal, 'stdout' | 'stderr'>,
  onCall: (call: Call) => void,
): Commander {
  const output = { writeOut: (text: string) => terminal.stdout.write(text), writeErr: (text: string) => terminal.stderr.write(text) };
  const program = new Commander('duo').version(VERSION, '--version', 'print the version').configureOutput(output).exitOverride();
  // A subcommand may have flags of the same name as its parent's: those after its name are its own.
  program.enablePositionalOptions();
  program.description('Find which attention heads need the whole KV cache, prove it on needles, and export the pattern.');
  program.addHelpText(
    'after',
    '\nExit codes: 0 done, 1 failed, 2 usage or input, 3 a gate failed, 4 environment, 5 out of memory, 130 interrupted.',
  );
  for (const command of commands) addCommand(program, command, onCall);
  return program;
}

function addCommand(parent: Commander, command: Command, onCall: (call: Call) => void, above = ''): void {
  const verb = `${above}${command.name}`;
  const child = parent.command(command.name).summary(command.summary).description(command.summary);
  child.copyInheritedSettings(parent).showHelpAfterError(`(see duo ${verb} --help)`);
  for (const positional of command.positionals) child.argument(positional);
  for (const name of flagsOf(command)) child.option(FLAGS[name].syntax, helpOf(command, name));
  if (command.examples.length > 0) child.addHelpText('after', `\nExamples:\n${command.examples.map((line) => `  $ ${line}`).join('\n')}`);
  child.action((...parts: unknown[]) => {
    const positionals = parts
      .slice(0, command.positionals.length)
      .flat()
      .filter((part): part is string => typeof part === 'string');
    onCall({ command, verb, flags: child.opts(), positionals });
  });
  for (const sub of command.subcommands) addCommand(child, sub, onCall, `${verb} `);
}

function flagsOf(command: Command): readonly FlagName[] {
  return [...command.flags, ...COMMON_FLAGS.filter((name) => !command.flags.includes(name))];
}

function helpOf(command: Command, name: FlagName): string {
  const value = command.defaults[name];
  const shown = typeof value === 'object' ? JSON.stringify(value) : value;
  const help = command.help[name] ?? FLAGS[name].help;
  return shown === undefined ? help : `${help} (default: ${shown as string | number | boolean})`;
}

async function resolveSettings(call: Call, environment: Terminal['environment']): Promise<Resolved> {
  const names = flagsOf(call.command);
  const schemas: Record<string, z.ZodType> = Object.fromEntries(names.map((name) => [name, FLAGS[name].schema]));
  const { configIsInput } = call.command;
  const file = (configIsInput ? undefined : call.flags['config']) ?? environment['DUO_CONFIG'];
  return resolve(schemas, {
    defaults: { ...COMMON_DEFAULTS, ...call.command.defaults },
    file: typeof file === 'string' ? (await import('../config/read-file.js')).readConfigFile(file) : {},
    environment: environmentValues(
      names.filter((name) => name !== 'config' || !configIsInput),
      environment,
    ),
    flags: call.flags,
  });
}

/** Settings with what presets and the model fill in. */
function withFilled(command: Command, settings: Resolved, environment: Terminal['environment']): Resolved {
  const filled = command.settings?.(settings.values as never, environment) ?? {};
  const known = Object.entries(filled).filter(([name]) => name in FLAGS && !(name in settings.values));
  const origins = Object.fromEntries(known.map(([name]) => [name, 'preset' as const]));
  return { values: { ...settings.values, ...Object.fromEntries(known) }, origins: { ...settings.origins, ...origins } };
}

async function renderSettings(settings: Resolved, json: boolean): Promise<string> {
  if (json)
    return `${JSON.stringify({ schema: 'duo-config/1', tool: TOOL, values: settings.values, origins: settings.origins }, null, 2)}\n`;
  const { stringify } = await import('yaml');
  const { printConfig: _shown, config: _file, ...values } = settings.values;
  return Object.entries(values)
    .map(([name, value]) => `${stringify({ [name]: value }).trimEnd()}  # ${settings.origins[name] ?? 'default'}\n`)
    .join('');
}

async function execute(call: Call, settings: Resolved, terminal: Terminal, warnings: Warning[]): Promise<ExitCode> {
  const json = settings.values['format'] === 'json';
  const errorColor = hasColor(terminal.stderr, terminal.environment);
  const live = isLive(settings.values['progress'], terminal);
  const progress = await openProgress(settings.values['progress'] === 'none' ? 'none' : live ? 'live' : 'plain', terminal.stderr);
  const io: Io = {
    write: (text) => (json ? undefined : terminal.stdout.write(text)),
    note: (text) => (json ? undefined : progress.pause(() => terminal.stderr.write(text))),
    warn: (warning) => {
      if (warnings.some((seen) => seen.code === warning.code && seen.message === warning.message)) return;
      warnings.push(warning);
      progress.pause(() => terminal.stderr.write(renderWarning(warning, errorColor)));
    },
    onProgress: progress.report,
    signal: terminal.signal,
    color: !json && hasColor(terminal.stdout, terminal.environment),
    columns: terminal.stdout.columns ?? 80,
    ...(live ? { screen: terminal.stderr as NodeJS.WriteStream } : {}),
    screenColor: errorColor,
    environment: terminal.environment,
    origins: settings.origins,
  };
  let result: CommandResult;
  try {
    if (call.command.subcommands.length > 0 && call.command.positionals.length === 0) {
      throw new InputError({
        code: 'usage',
        what: `duo ${call.verb} needs a subcommand`,
        expected: call.command.subcommands.map((sub) => sub.name).join(', '),
      });
    }
    result = await call.command.run(settings.values as never, io, call.positionals);
  } finally {
    progress.end();
  }
  terminal.stdout.write(json ? envelope(call.verb, result, warnings) : result.text);
  return result.exitCode ?? 0;
}

function envelope(verb: string, result: CommandResult, warnings: readonly Warning[]): string {
  return `${JSON.stringify({ schema: `duo-${verb.replaceAll(' ', '-')}/1`, tool: TOOL, warnings, result: result.json }, null, 2)}\n`;
}

function isLive(mode: unknown, terminal: Terminal): boolean {
  if (mode === 'live') return true;
  return mode === 'auto' && terminal.stderr.isTTY === true && !terminal.environment['CI'] && terminal.environment['TERM'] !== 'dumb';
}

function hasColor(stream: { readonly isTTY?: boolean }, environment: Terminal['environment']): boolean {
  if (environment['NO_COLOR']) return false;
  if (environment['FORCE_COLOR']) return environment['FORCE_COLOR'] !== '0';
  return stream.isTTY === true && environment['TERM'] !== 'dumb';
}
