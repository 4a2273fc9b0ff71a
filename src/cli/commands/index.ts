/** Every command, in the order of --help. Each is loaded when it is named, so that an error of its input is said at once. */
import type { Command } from '../command.js';

const LOADERS: Readonly<Record<string, () => Promise<Command>>> = {
  calibrate: async () => (await import('./calibrate.js')).calibrateCommand,
  inspect: async () => (await import('./inspect.js')).inspectCommand,
  evaluate: async () => (await import('./evaluate.js')).evaluateCommand,
  run: async () => (await import('./run.js')).runCommand,
  export: async () => (await import('./export.js')).exportCommand,
  verify: async () => (await import('./verify.js')).verifyCommand,
  setup: async () => (await import('./setup.js')).setupCommand,
  doctor: async () => (await import('./doctor.js')).doctorCommand,
};

/** The command of this name; all of them where there is none of this name, for --help and for errors. */
export async function loadCommands(name?: string): Promise<readonly Command[]> {
  const named = name !== undefined && Object.hasOwn(LOADERS, name) ? LOADERS[name] : undefined;
  const commands: Command[] = [];
  for (const load of named === undefined ? Object.values(LOADERS) : [named]) commands.push(await load());
  return commands;
}
