/** Room on a disk, asked for before something large is written. */
import { statfsSync } from 'node:fs';
import { EnvironmentError } from './errors.js';

/** What is to be written: its name for messages, its size, and the variable that names another place for it. */
export interface DiskNeed {
  readonly name: string;
  readonly bytes: number;
  readonly variable: string;
}

/** @throws EnvironmentError when the disk of `folder`, which exists, has less room than that */
export function requireDisk(folder: string, { name, bytes, variable }: DiskNeed): void {
  const { bavail, bsize } = statfsSync(folder);
  if (bavail * bsize >= bytes) return;
  throw new EnvironmentError({
    code: 'disk_full',
    what: `there is not enough disk for ${name}`,
    given: `${((bavail * bsize) / 1e9).toFixed(1)} GB free at ${folder}`,
    expected: `${(bytes / 1e9).toFixed(1)} GB`,
    hint: `free some, or set ${variable} to a folder on another disk`,
  });
}
