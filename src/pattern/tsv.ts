/**
 * `full_attention_heads.tsv`: one row per layer, one column per KV head, tabs between, no header. Written as NumPy's savetxt
 * writes it; read with more care than its loadtxt: a cell is a finite decimal number or the file is refused.
 */
import { InputError } from '../errors.js';
import type { Warn } from '../errors.js';
import { shortest } from './float32.js';
import { MAX_HEADS, MAX_KV_HEADS, MAX_LAYERS } from './schema.js';

export const TSV_NAME = 'full_attention_heads.tsv';

const DECIMAL = /^[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?$/;
/** Readers clip to [0, 1]. Published files leave it by 0.0014 at most; a value farther out is some other kind of number. */
const CLIP_NOTICE = 0.01;
/** Most lines read, blank ones and comments included. */
const MAX_LINES = 8 * MAX_LAYERS;
/** Longest piece of a cell shown in an error. */
const SHOWN = 40;

interface Place {
  readonly row: number;
  readonly line: number;
}

/**
 * Raw float32 gates, [layer][kvHead]. Blank lines and lines that begin with `#` are skipped, as the reference's reader does.
 * @throws InputError naming row and column of the first cell that is not a number.
 */
export function parseTsv(text: string, given: string, warn: Warn): number[][] {
  const rows: number[][] = [];
  if (text === '') throw problem('tsv_empty', 'the pattern file is empty', given);
  const lines = text.replace(/^\uFEFF/, '').split('\n', MAX_LINES + 1);
  if (lines.length > MAX_LINES) throw tooLarge(`more than ${MAX_LINES} lines`, given);
  for (const [index, line] of lines.entries()) {
    const content = line.replace(/\r$/, '');
    if (content.trim() === '' || content.startsWith('#')) continue;
    const place = { row: rows.length + 1, line: index + 1 };
    if (place.row > MAX_LAYERS) throw tooLarge(`more than ${MAX_LAYERS} rows`, given);
    const row = parseRow(content, place, given);
    if (rows[0] !== undefined && row.length !== rows[0].length)
      throw problem('tsv_ragged', `${nameOf(place)} has ${row.length} values, row 1 has ${rows[0].length}`, given);
    if (place.row * row.length > MAX_HEADS) throw tooLarge(`more than ${MAX_HEADS} values`, given);
    rows.push(row);
  }
  if (rows.length === 0) throw problem('tsv_empty', 'the pattern file holds no rows', given);
  noticeClipped(rows, given, warn);
  return rows;
}

/** Rows as `%.18e`, tab-separated, each ended by a line feed. */
export function formatTsv(rows: readonly ArrayLike<number>[]): string {
  return rows.map((row) => `${Array.from(row, exponential).join('\t')}\n`).join('');
}

/**
 * C's `%.18e`, which differs from toExponential(18) in two ways: exponents have two digits at least, and a value half-way
 * between two texts goes to the even digit. Gates on a bfloat16 grid often lie half-way.
 */
function exponential(value: number): string {
  const [, digits = '', rest = '', exponent = ''] = /^(-?\d\.\d{18})(\d+)(e.*)$/.exec(value.toExponential(100)) ?? [];
  const halfToEven = /^50*$/.test(rest) && /[02468]$/.test(digits);
  return (halfToEven ? digits + exponent : value.toExponential(18)).replace(/([+-])(\d)$/, '$10$2');
}

function parseRow(content: string, place: Place, given: string): number[] {
  const cells = content.split('\t', MAX_KV_HEADS + 1);
  if (cells.length > MAX_KV_HEADS) throw tooLarge(`more than ${MAX_KV_HEADS} columns`, given);
  return cells.map((cell, column) => parseCell(cell.trim(), `${nameOf(place)}, column ${column + 1}`, given));
}

function parseCell(cell: string, where: string, given: string): number {
  const value = Math.fround(Number(cell));
  if (DECIMAL.test(cell) && Number.isFinite(value)) return value + 0;
  throw problem('tsv_cell', `${where} ${problemOf(cell)}`, given);
}

function problemOf(cell: string): string {
  if (cell === '') return 'is empty';
  if (/^[+-]?nan$/i.test(cell)) return 'is NaN';
  if (/^[+-]?inf(inity)?$/i.test(cell)) return 'is infinite';
  if (DECIMAL.test(cell)) return `is outside float32: ${cell.slice(0, SHOWN)}`;
  return `is not a number: ${JSON.stringify(cell.length > SHOWN ? `${cell.slice(0, SHOWN)}…` : cell)}`;
}

function nameOf({ row, line }: Place): string {
  return row === line ? `row ${row}` : `row ${row} (line ${line})`;
}

function problem(code: string, what: string, given: string): InputError {
  return new InputError({
    code,
    what,
    given,
    expected: 'decimal numbers separated by tabs, one row per layer, without a header',
    hint: "write it as NumPy does: numpy.savetxt(file, gates, delimiter='\\t')",
  });
}

function tooLarge(what: string, given: string): InputError {
  return problem('tsv_size', `the pattern file has ${what}`, given);
}

function noticeClipped(rows: readonly number[][], given: string, warn: Warn): void {
  const places = rows.flatMap((row, layer) =>
    row.flatMap((gate, head) =>
      gate < -CLIP_NOTICE || gate > 1 + CLIP_NOTICE ? [`row ${layer + 1}, column ${head + 1} is ${shortest(gate)}`] : [],
    ),
  );
  if (places.length === 0) return;
  const more = places.length > 3 ? ` and ${places.length - 3} more` : '';
  warn({
    code: 'gate_outside',
    message: `${given}: ${places.slice(0, 3).join('; ')}${more}; gates are from 0 to 1, readers clip them, raw values are kept for ranking`,
  });
}
