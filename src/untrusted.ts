/**
 * Files that anyone may have made: opened only if they are regular files (a pipe would wait for ever, a device may have no
 * end), read no farther than the size they had, which is bounded.
 */
import { closeSync, constants, fstatSync, lstatSync, openSync, readSync, statSync } from 'node:fs';
import type { Stats } from 'node:fs';
import { basename } from 'node:path';
import { InputError } from './errors.js';

export interface OpenFile {
  readonly descriptor: number;
  readonly bytes: number;
}

/** Opens the regular file that `path` is or links to. The caller closes it. @throws InputError when it is none, or cannot be read */
export function openRegular(path: string): OpenFile {
  const name = basename(path);
  // Before opening, because opening alone may do something to a device; and after, because the path may have changed.
  requireRegular(
    attempt(path, () => statSync(path)),
    name,
    path,
  );
  const descriptor = attempt(path, () => openSync(path, constants.O_RDONLY | (constants.O_NONBLOCK ?? 0)));
  try {
    const stat = fstatSync(descriptor);
    requireRegular(stat, name, path);
    return { descriptor, bytes: stat.size };
  } catch (error) {
    closeSync(descriptor);
    throw error;
  }
}

function attempt<T>(path: string, action: () => T): T {
  try {
    return action();
  } catch (cause) {
    const { code, message } = cause as NodeJS.ErrnoException;
    throw code === 'ENOENT' || code === 'ENOTDIR'
      ? new InputError({ code: 'file_missing', what: `${basename(path)} does not exist`, given: path, cause })
      : new InputError({ code: 'file_unreadable', what: `${basename(path)} cannot be read: ${message}`, given: path, cause });
  }
}

function requireRegular(stat: Stats, name: string, path: string): void {
  if (!stat.isFile())
    throw new InputError({ code: 'file_kind', what: `${name} is not a regular file`, given: path, expected: 'a file, or a link to one' });
}

/** All bytes of a regular file of at most `maxBytes`. @throws InputError when it is none, larger, or cannot be read */
export function readBounded(path: string, maxBytes: number): Buffer {
  const { descriptor, bytes } = openRegular(path);
  try {
    if (bytes > maxBytes)
      throw new InputError({
        code: 'file_size',
        what: `${basename(path)} is too large`,
        given: `${path}, ${bytes} bytes`,
        expected: `at most ${maxBytes} bytes`,
      });
    const content = Buffer.alloc(bytes);
    readFully(descriptor, content, 0, path);
    return content;
  } finally {
    closeSync(descriptor);
  }
}

/**
 * As `readBounded`, of a file that is also written to: it must not be a link, which could lead to any file.
 * @throws InputError also when it is one
 */
export function readUnlinked(path: string, maxBytes: number): Buffer {
  if (attempt(path, () => lstatSync(path)).isSymbolicLink())
    throw new InputError({ code: 'file_link', what: `${basename(path)} is a link`, given: path, expected: 'the file itself' });
  return readBounded(path, maxBytes);
}

/** Fills `target` from a file. @throws InputError when the file ends before, or cannot be read */
export function readFully(descriptor: number, target: Uint8Array, position: number, path: string): void {
  for (let done = 0; done < target.length;) {
    const count = attempt(path, () => readSync(descriptor, target, done, target.length - done, position + done));
    if (count === 0) throw new InputError({ code: 'file_short', what: `${basename(path)} ended while it was read`, given: path });
    done += count;
  }
}
