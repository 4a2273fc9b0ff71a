/** Every command, in the order of --help. */
import type { Command } from '../command.js';

export const COMMANDS: readonly Command[] = [];
