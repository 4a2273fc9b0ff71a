/** Pattern files as strangers may have made them: regular files of bounded size, found inside the folder that was named. */
import { lstatSync, realpathSync, statSync } from 'node:fs';
import { basename, dirname, join, sep } from 'node:path';
import { InputError } from '../errors.js';
import { readBounded } from '../untrusted.js';

/** Largest pattern.json or TSV read, bytes: MAX_HEADS gates with 18 digits take 1.6 MB, a 1,024-head calibration with ten seeds 0.3 MB. */
export const MAX_PATTERN_BYTES = 4 << 20;
/** Largest config.json read, bytes: real ones are one line of 45 settings. */
export const MAX_CONFIG_BYTES = 1 << 20;
/** A text file this short may be a link that git checked out as text. */
const MAX_LINK_BYTES = 1024;

/** False also where a path leads nowhere: a loop of links, a name too long. */
export function isDirectory(path: string): boolean {
  try {
    return statSync(path).isDirectory();
  } catch {
    return false;
  }
}

/** Whether there is something of this name, a link that leads nowhere included. */
export function exists(path: string): boolean {
  try {
    return lstatSync(path, { throwIfNoEntry: false }) !== undefined;
  } catch {
    return false;
  }
}

/**
 * Bytes of `name` in `folder`. A link is followed if it ends in the folder, also one that git checked out as a text file
 * holding its target, as it does where links are off. @throws InputError
 */
export function readInside(folder: string, name: string, maxBytes: number): Buffer {
  const bytes = readBounded(inside(folder, name), maxBytes);
  const target = bytes.length <= MAX_LINK_BYTES ? bytes.toString('utf8').trim() : '';
  const isLink = target !== name && /^[^\0\n\t/\\][^\0\n\t\\]*$/.test(target) && basename(target) === name && exists(join(folder, target));
  return isLink ? readBounded(inside(folder, target), maxBytes) : bytes;
}

/** The path of `name` in `folder`. @throws InputError when a link leads out of it. */
function inside(folder: string, name: string): string {
  const path = join(folder, name);
  if (!exists(path)) throw new InputError({ code: 'pattern_missing', what: `there is no ${name} in the folder`, given: folder });
  let target: string;
  try {
    target = realpathSync(path);
  } catch (cause) {
    throw new InputError({ code: 'pattern_link', what: `${name} is a link that leads nowhere`, given: path, cause });
  }
  if (!target.startsWith(realpathSync(folder) + sep))
    throw new InputError({ code: 'pattern_link', what: `${name} is a link that leaves the folder`, given: path });
  return target;
}

/** The folder a file lies in, as the user named it. */
export function folderOf(path: string): string {
  return dirname(path);
}
