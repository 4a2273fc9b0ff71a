/** The pattern directory: pattern.json, and beside it the two files that make it a DuoAttention pattern for every existing reader. */
import { join } from 'node:path';
import { writeFileAtomic } from '../files.js';
import { CONFIG_NAME, configJson } from './duo-config.js';
import { PATTERN_NAME, patternJson } from './pattern-json.js';
import { rendition } from './rendition.js';
import { patternSchema } from './schema.js';
import type { PatternInput } from './schema.js';
import { formatTsv, TSV_NAME } from './tsv.js';

/** Files by name, in the order they are written: pattern.json comes last, so that it never stands beside older ones. */
export function patternFiles(input: PatternInput, sparsity?: number): ReadonlyMap<string, string> {
  const pattern = patternSchema.parse(input);
  return new Map([
    [TSV_NAME, formatTsv(rendition(pattern.gates))],
    [CONFIG_NAME, configJson(pattern, sparsity)],
    [PATTERN_NAME, patternJson(pattern)],
  ]);
}

/** Writes a pattern directory, replacing the files of an earlier one. @throws ZodError for an invalid pattern, a defect of the caller */
export function writePattern(directory: string, pattern: PatternInput): void {
  for (const [name, content] of patternFiles(pattern)) writeFileAtomic(join(directory, name), content);
}
