/** pattern.json as text: the same pattern gives the same bytes. No dates, keys in the order of the schema, one row of gates a line. */
import { canonicalJson } from '../files.js';
import { shortest } from './float32.js';
import { patternSchema } from './schema.js';
import type { Pattern, PatternInput } from './schema.js';

export const PATTERN_NAME = 'pattern.json';

/** A list of numbers on lines of their own; a line break cannot occur inside a JSON string. */
const NUMBER_LIST = /\[\n\s*(-?[\d.e+-]+(?:,\n\s*-?[\d.e+-]+)*)\n\s*\]/g;

/** The text of pattern.json. Gates are written with the fewest digits that name their float32. @throws ZodError for an invalid pattern */
export function patternJson(pattern: PatternInput): string {
  return gateJson(shortGates(patternSchema.parse(pattern)));
}

/** Indented JSON with every list of numbers on one line. */
export function gateJson(value: unknown): string {
  const text = JSON.stringify(value, null, 2);
  return `${text.replaceAll(NUMBER_LIST, (_list, numbers: string) => `[${numbers.replaceAll(/\s+/g, ' ')}]`)}\n`;
}

type Rows = readonly (readonly number[])[];

function shortGates(pattern: Pattern): unknown {
  const { gates, spread, calibration } = pattern;
  return {
    ...pattern,
    gates: shortRows(gates),
    ...(spread === undefined ? {} : { spread: shortRows(spread) }),
    ...(calibration === undefined ? {} : { calibration: shortCalibration(calibration) }),
  };
}

function shortCalibration(calibration: NonNullable<Pattern['calibration']>): unknown {
  const { settings, checkpoints, seedGates } = calibration;
  return {
    ...calibration,
    // Free-form, so its keys come in whatever order the caller had.
    settings: JSON.parse(canonicalJson(settings)) as unknown,
    checkpoints: checkpoints.map(({ step, gates }) => ({ step, gates: shortRows(gates) })),
    ...(seedGates === undefined ? {} : { seedGates: seedGates.map(shortRows) }),
  };
}

/** Gates as the numbers to print. */
export function shortRows(rows: Rows): Rows {
  return rows.map((row) => row.map(shortest));
}
