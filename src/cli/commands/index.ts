/** Every command, in the order of --help. */
import type { Command } from '../command.js';
import { calibrateCommand } from './calibrate.js';
import { doctorCommand } from './doctor.js';
import { evaluateCommand } from './evaluate.js';
import { exportCommand } from './export.js';
import { inspectCommand } from './inspect.js';
import { runCommand } from './run.js';
import { setupCommand } from './setup.js';
import { verifyCommand } from './verify.js';

export const COMMANDS: readonly Command[] = [
  calibrateCommand,
  inspectCommand,
  evaluateCommand,
  runCommand,
  exportCommand,
  verifyCommand,
  setupCommand,
  doctorCommand,
];
