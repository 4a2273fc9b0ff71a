/** Every command, in the order of --help. */
import type { Command } from '../command.js';
import { doctorCommand } from './doctor.js';
import { setupCommand } from './setup.js';

export const COMMANDS: readonly Command[] = [setupCommand, doctorCommand];
