/** Files that must not be waited for, read without end, or trusted to keep their size. */
import { spawnSync } from 'node:child_process';
import { appendFileSync, closeSync, existsSync, mkdirSync, openSync, symlinkSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { openRegular, readBounded, readFully } from '../src/untrusted.js';
import { refusal } from './helpers/refusal.js';
import { temporaryFolder } from './helpers/temporary.js';

const root = temporaryFolder();
const MAX_BYTES = 1000;

const file = join(root, 'file');
writeFileSync(file, 'content');
const pipe = join(root, 'pipe');
const hasPipe = spawnSync('mkfifo', [pipe]).status === 0;
mkdirSync(join(root, 'folder'));
writeFileSync(join(root, 'large'), Buffer.alloc(MAX_BYTES + 1));
// Holes take no room on disk, and must not in memory.
writeFileSync(join(root, 'sparse'), '');
truncateSync(join(root, 'sparse'), 2 ** 40);
for (const [name, target] of [
  ['link', 'file'],
  ['link-to-folder', 'folder'],
  ['dangling', 'nothing'],
  ['loop', 'loop'],
  ['zero', '/dev/zero'],
] as const)
  symlinkSync(target, join(root, name));

describe('readBounded', () => {
  test('reads a file, through a link too', () => {
    expect(readBounded(file, MAX_BYTES).toString()).toBe('content');
    expect(readBounded(join(root, 'link'), MAX_BYTES).toString()).toBe('content');
  });

  test.each([
    ['a folder', 'folder', 'file_kind'],
    ['a link to a folder', 'link-to-folder', 'file_kind'],
    ['a link that leads nowhere', 'dangling', 'file_missing'],
    ['a link to itself', 'loop', 'file_unreadable'],
    ['a file as a folder', 'file/file', 'file_missing'],
    ['a name too long', 'n'.repeat(300), 'file_unreadable'],
    ['a name with a zero byte', 'a\0b', 'file_unreadable'],
    ['a large file', 'large', 'file_size'],
    ['a file of a terabyte without data', 'sparse', 'file_size'],
  ])('refuses %s', (_title, name, code) => {
    expect(refusal(() => readBounded(join(root, name), MAX_BYTES))).toBe(code);
  });

  (hasPipe ? test : test.skip)('refuses a pipe instead of waiting for it', () => {
    expect(refusal(() => readBounded(pipe, MAX_BYTES))).toBe('file_kind');
  });

  (existsSync('/dev/zero') ? test : test.skip)('refuses a device, which has no end', () => {
    expect(refusal(() => readBounded(join(root, 'zero'), MAX_BYTES))).toBe('file_kind');
  });
});

describe('a file that changes while it is read', () => {
  const changing = join(root, 'changing');
  const opened = (change: () => void): string | undefined => {
    writeFileSync(changing, 'twelve bytes');
    const { descriptor, bytes } = openRegular(changing);
    change();
    try {
      return refusal(() => readFully(descriptor, new Uint8Array(bytes), 0, changing));
    } finally {
      closeSync(descriptor);
    }
  };

  test('is refused when it has become shorter', () => {
    expect(opened(() => truncateSync(changing, 5))).toBe('file_short');
  });

  test('is read to the size it had when it has grown', () => {
    expect(opened(() => appendFileSync(changing, 'more'))).toBeUndefined();
  });

  test('is refused when it cannot be read', () => {
    const writeOnly = openSync(changing, 'w');
    expect(refusal(() => readFully(writeOnly, new Uint8Array(1), 0, changing))).toBe('file_unreadable');
    closeSync(writeOnly);
  });
});
