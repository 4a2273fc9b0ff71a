/** The command line as a whole: the table of flags, help, errors and exit codes, through the real program. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { loadCommands } from '../../src/cli/commands/index.js';
import { COMMON_FLAGS, FLAGS } from '../../src/cli/flags.js';
import type { FlagName } from '../../src/cli/flags.js';
import { parse, run } from '../../src/cli/program.js';
import type { ExitCode } from '../../src/errors.js';
import type { Command } from '../../src/cli/command.js';
import { shellWords } from '../helpers/shell-words.js';
import { temporaryFolder } from '../helpers/temporary.js';

const folder = temporaryFolder();
const COMMANDS = await loadCommands();

interface Said {
  readonly code: ExitCode;
  readonly stdout: string;
  readonly stderr: string;
}

async function duo(line: string, environment: Record<string, string> = {}): Promise<Said> {
  const said = { stdout: '', stderr: '' };
  const sink = (name: 'stdout' | 'stderr') => ({ write: (text: string) => (said[name] += text) });
  const code = await run(shellWords(line), {
    stdout: sink('stdout'),
    stderr: sink('stderr'),
    environment,
    signal: new AbortController().signal,
  });
  return { code, ...said };
}

const everyCommand = (commands: readonly Command[]): Command[] =>
  commands.flatMap((command) => [command, ...everyCommand(command.subcommands)]);

describe('the table of flags', () => {
  test('names no option twice', () => {
    const names = Object.values(FLAGS).map(({ syntax }) => /--([a-z-]+)/.exec(syntax)?.[1]);
    expect(new Set(names).size).toBe(names.length);
  });

  test.each(Object.entries(FLAGS))('%s is named as its option is, and has help', (name, { syntax, help }) => {
    expect(/--([a-z-]+)/.exec(syntax)?.[1]).toBe(name.replaceAll(/([A-Z])/g, (letter) => `-${letter.toLowerCase()}`));
    expect(help.length).toBeGreaterThan(10);
  });

  test.each(Object.keys(FLAGS) as FlagName[])('%s is taken by a command', (name) => {
    const taken = [...everyCommand(COMMANDS).flatMap(({ flags }) => flags), ...COMMON_FLAGS];
    expect(taken).toContain(name);
  });
});

describe.each(everyCommand(COMMANDS).map((command) => [command.name, command] as const))('duo %s', (_name, command) => {
  test.each(command.examples)('has an example that parses: %s', async (line) => {
    const quiet = { write: () => undefined };
    const call = await parse(shellWords(line).slice(1), { stdout: quiet, stderr: quiet });
    expect([command.name, ...command.subcommands.map(({ name }) => name)]).toContain(call?.command.name);
  });
});

describe('the program', () => {
  test('prints help without arguments and exits with 0', async () => {
    const { code, stdout } = await duo('');
    expect(code).toBe(0);
    for (const { name } of COMMANDS) expect(stdout).toContain(`\n  ${name}`);
    expect(stdout).toContain('130 interrupted');
  });

  test.each([
    ['an unknown command', 'calibrat', "unknown command 'calibrat'"],
    ['an unknown flag', 'doctor --colour', "unknown option '--colour'"],
    ['a missing value', 'doctor --threads', "option '--threads <n>' argument missing"],
    ['a wrong value', 'doctor --threads many', '--threads: "many" given, expected a whole number'],
    ['a settings file that is not there', 'doctor --config nowhere.yaml', 'nowhere.yaml'],
  ])('refuses %s with exit 2', async (_title, line, message) => {
    const { code, stdout, stderr } = await duo(line);
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
    expect(stderr).toContain(message);
  });

  test('gives an error as JSON where the result would be JSON', async () => {
    const { code, stdout } = await duo('calibrate --model nowhere --format json');
    expect(code).toBe(2);
    expect(JSON.parse(stdout)).toMatchObject({ schema: 'duo-error/1', error: { given: expect.stringContaining('nowhere') as string } });
  });

  test('takes defaults, then the file, then the environment, then flags', async () => {
    mkdirSync(folder, { recursive: true });
    const file = join(folder, 'settings.yaml');
    writeFileSync(file, 'steps: 7\nsink: 5\nrecent: 9\nlabels: answer\n');
    const { stdout } = await duo(`calibrate --config ${file} --recent 11 --print-config`, { DUO_SINK: '6', DUO_RECENT: '10' });
    expect(stdout).toMatch(/^steps: 7 {2}# file$/m);
    expect(stdout).toMatch(/^sink: 6 {2}# environment$/m);
    expect(stdout).toMatch(/^recent: 11 {2}# flag$/m);
    expect(stdout).toMatch(/^labels: answer {2}# file$/m);
    expect(stdout).toMatch(/^device: auto {2}# default$/m);
  });

  test('names every wrong setting of a file at once', async () => {
    const file = join(folder, 'wrong.yaml');
    writeFileSync(file, 'steps: none\nlabel: block\npasskeys: 21\n');
    const { code, stderr } = await duo(`calibrate --config ${file}`);
    expect(code).toBe(2);
    for (const part of [
      'label: not a setting',
      'steps (settings file): "none"',
      'passkeys (settings file): 21 given, expected a whole number from 1 to 20',
    ])
      expect(stderr).toContain(part);
  });
});
