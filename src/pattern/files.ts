/** Pattern files as strangers may have made them: regular files of bounded size, found inside the folder that was named. */
import { lstatSync, readFileSync, realpathSync, statSync } from 'node:fs';
import { basename, dirname, join, sep } from 'node:path';
import { InputError } from '../errors.js';

/** Largest pattern.json or TSV read, bytes: MAX_HEADS gates with 18 digits take 1.6 MB, a 1,024-head calibration with ten seeds 0.3 MB. */
export const MAX_PATTERN_BYTES = 4 << 20;
/** Largest config.json read, bytes: real ones are one line of 45 settings. */
export const MAX_CONFIG_BYTES = 1 << 20;
/** Deepest nesting of a JSON file; ours have seven levels. */
const MAX_JSON_DEPTH = 64;
/** A text file this short may be a link that git checked out as text. */
const MAX_LINK_BYTES = 1024;

export function isDirectory(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false })?.isDirectory() ?? false;
}

export function exists(path: string): boolean {
  return lstatSync(path, { throwIfNoEntry: false }) !== undefined;
}

/** Bytes of the file at `path`, links followed. @throws InputError when it is missing, no regular file, or too large. */
export function readBounded(path: string, maxBytes: number): Buffer {
  const what = basename(path);
  const stat = statSync(path, { throwIfNoEntry: false });
  if (stat === undefined) throw new InputError({ code: 'pattern_missing', what: `${what} does not exist`, given: path });
  if (!stat.isFile()) throw new InputError({ code: 'pattern_kind', what: `${what} is not a regular file`, given: path });
  if (stat.size > maxBytes)
    throw new InputError({
      code: 'pattern_size',
      what: `${what} is too large`,
      given: `${path}, ${stat.size} bytes`,
      expected: `at most ${maxBytes} bytes`,
    });
  try {
    return readFileSync(path);
  } catch (cause) {
    throw new InputError({ code: 'pattern_unreadable', what: `${what} cannot be read: ${(cause as Error).message}`, given: path, cause });
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

/** JSON from bytes. @throws InputError when they are not JSON, or nested too deeply. */
export function parseJson(bytes: Uint8Array, given: string): unknown {
  const text = new TextDecoder('utf-8').decode(bytes);
  if (nesting(text) > MAX_JSON_DEPTH)
    throw new InputError({
      code: 'json_depth',
      what: 'the JSON file is nested too deeply',
      given,
      expected: `at most ${MAX_JSON_DEPTH} levels`,
    });
  try {
    return JSON.parse(text) as unknown;
  } catch (cause) {
    throw new InputError({ code: 'json_syntax', what: `the file is not valid JSON: ${(cause as Error).message}`, given, cause });
  }
}

/** Deepest level of brackets outside strings; of no meaning where the text is no JSON. */
function nesting(text: string): number {
  let [depth, deepest, inString] = [0, 0, false];
  for (let i = 0; i < text.length; i++) {
    const character = text[i];
    if (inString) {
      if (character === '\\') i += 1;
      else if (character === '"') inString = false;
    } else if (character === '"') inString = true;
    else if (character === '[' || character === '{') deepest = Math.max(deepest, (depth += 1));
    else if (character === ']' || character === '}') depth -= 1;
  }
  return deepest;
}
