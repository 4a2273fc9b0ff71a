/** Every command, in the order of --help. */
import type { Command } from '../command.js';
import { doctorCommand } from './doctor.js';
import { evaluateCommand } from './evaluate.js';
import { runCommand } from './run.js';
import { setupCommand } from './setup.js';
import { verifyCommand } from './verify.js';

export const COMMANDS: readonly Command[] = [evaluateCommand, runCommand, verifyCommand, setupCommand, doctorCommand];
