/**
 * What set-up has finished, written after each step. A step counts as done when its key (a hash of what it was made
 * from) is unchanged and its files have the recorded sizes, so an interrupted or damaged set-up is seen and repaired.
 */
import { createHash } from 'node:crypto';
import { readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import { writeJsonAtomic } from '../../files.js';
import type { Site } from './site.js';

const stepSchema = z.object({
  key: z.string(),
  /** Bytes of each file made, by its path below the package's folder. */
  files: z.record(z.string(), z.number()),
  /** Facts for people: version, origin. */
  facts: z.record(z.string(), z.string()),
});
const stampSchema = z.object({ schema: z.literal('duo-setup/1'), steps: z.record(z.string(), stepSchema) });

export type StepRecord = z.output<typeof stepSchema>;
export type Stamp = z.output<typeof stampSchema>;

/** Largest stamp read, bytes. */
const MAX_STAMP_BYTES = 1 << 16;

const stampPath = (site: Site): string => join(site.packageDir, 'duo-setup.json');

/** The stamp; one without steps when there is none or it is unreadable. */
export function readStamp(site: Site): Stamp {
  try {
    if (statSync(stampPath(site)).size > MAX_STAMP_BYTES) throw new Error('stamp too large');
    return stampSchema.parse(JSON.parse(readFileSync(stampPath(site), 'utf8')));
  } catch {
    return { schema: 'duo-setup/1', steps: {} };
  }
}

export function recordStep(site: Site, name: string, record: StepRecord): void {
  const stamp = readStamp(site);
  writeJsonAtomic(stampPath(site), { ...stamp, steps: { ...stamp.steps, [name]: record } });
}

/** Whether every file of the step is there with its recorded size (links are followed). */
export function filesIntact(site: Site, record: StepRecord): boolean {
  return Object.entries(record.files).every(([path, bytes]) => fileBytes(join(site.packageDir, path)) === bytes);
}

/** Sizes of `paths`, relative to the package's folder. */
export function measureFiles(site: Site, paths: readonly string[]): Record<string, number> {
  return Object.fromEntries(paths.map((path) => [path, statSync(join(site.packageDir, path)).size]));
}

export function fileBytes(path: string): number | undefined {
  return statSync(path, { throwIfNoEntry: false })?.size;
}

/** A short hash of texts and files' contents, in order. */
export function contentKey(texts: readonly string[], files: readonly string[]): string {
  const hash = createHash('sha256');
  for (const text of texts) hash.update(`${text}\0`);
  for (const file of files) hash.update(readFileSync(file)).update('\0');
  return hash.digest('hex').slice(0, 16);
}
