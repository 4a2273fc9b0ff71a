/** Errors and warnings as text: one place, from their facts. */
import { Chalk } from 'chalk';
import type { ChalkInstance } from 'chalk';
import { DuoError } from '../errors.js';
import type { ExitCode, Warning } from '../errors.js';

export function palette(color: boolean): ChalkInstance {
  return new Chalk({ level: color ? 2 : 0 });
}

/** Longest part of a message, characters: the longest of our own, a list of problems, is far below. */
const MAX_SHOWN = 4000;

/** Messages quote what strangers' files hold; nothing in them may steer the terminal, or fill it. */
function printable(text: string): string {
  const shown = text.length > MAX_SHOWN ? `${text.slice(0, MAX_SHOWN)}...` : text;
  return shown.replaceAll(/[^\P{Cc}\n\t]/gu, '\uFFFD');
}

/** Lines for stderr: what, given, expected, what to try. A defect of ours shows its stack. */
export function renderError(error: unknown, color: boolean): string {
  const paint = palette(color);
  if (!(error instanceof DuoError)) {
    const detail = error instanceof Error ? (error.stack ?? error.message) : String(error);
    return `${paint.red('error:')} internal: ${detail}\n`;
  }
  const { what, given, expected, hint } = error.facts;
  const rows = [
    `${paint.red('error:')} ${printable(what)}`,
    given === undefined ? '' : `  given:    ${printable(given)}`,
    expected === undefined ? '' : `  expected: ${printable(expected)}`,
    hint === undefined ? '' : `  ${paint.cyan('try:')}      ${printable(hint)}`,
  ];
  return `${rows.filter((row) => row !== '').join('\n')}\n`;
}

export function renderWarning(warning: Warning, color: boolean): string {
  const hint = warning.hint === undefined ? '' : `\n  ${palette(color).cyan('try:')} ${printable(warning.hint)}`;
  return `${palette(color).yellow('warning:')} ${printable(warning.message)}${hint}\n`;
}

/** The error as data, for --format json. */
export function errorJson(error: unknown): Readonly<Record<string, unknown>> {
  if (!(error instanceof DuoError)) return { code: 'internal', what: error instanceof Error ? error.message : String(error) };
  const { code, what, given, expected, hint } = error.facts;
  return { code, what, given, expected, hint };
}

export function exitCodeOf(error: unknown): ExitCode {
  return error instanceof DuoError ? error.exitCode : 1;
}
