/** Names for unfinished work. Each is new: a killed set-up may leave programs behind that still write under the old ones. */
import { randomUUID } from 'node:crypto';
import { mkdirSync, readdirSync, rmSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';

/** A path beside `path` to write to and rename from; clears what killed runs left there. Its folder is made. */
export function scratchPath(path: string): string {
  mkdirSync(dirname(path), { recursive: true });
  sweep(path);
  return `${path}.tmp-${randomUUID()}`;
}

/** Removes unfinished work beside `path`; what another program still writes to is left for the next run. */
export function sweep(path: string): void {
  const start = `${basename(path)}.tmp-`;
  for (const name of readdirSync(dirname(path)).filter((entry) => entry.startsWith(start)))
    try {
      rmSync(join(dirname(path), name), { recursive: true, force: true });
    } catch {
      // Still being written to.
    }
}
