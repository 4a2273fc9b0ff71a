import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { chooseEntries, unpackWheel } from '../../../src/device/setup/wheel.js';
import { WHEEL_ENTRIES, makeZip, removeTemporaryFolders, temporaryFolder, write } from './fakes.js';

afterEach(removeTemporaryFolders);

describe('unpacking a wheel', () => {
  test('takes the two libraries and the C headers, by name', () => {
    const entries = Object.entries(WHEEL_ENTRIES).map(([name, content]) => [name, content.length] as const);
    expect(chooseEntries(entries, 'x.whl')).toEqual([
      ['tensorflow/libtensorflow_cc.so.2', 'lib/libtensorflow_cc.so.2'],
      ['tensorflow/libtensorflow_framework.so.2', 'lib/libtensorflow_framework.so.2'],
      ['tensorflow/include/tensorflow/c/c_api.h', 'include/tensorflow/c/c_api.h'],
    ]);
  });

  test.each([
    'tensorflow/include/tensorflow/c/../../../../../escaped.h',
    'tensorflow/include/tensorflow/c//escaped.h',
    'tensorflow/include/tensorflow/c/./escaped.h',
    'tensorflow/include/tensorflow/c/a\\..\\escaped.h',
    'tensorflow/include/tensorflow/c/\u0000.h',
  ])('refuses the entry %j', async (name) => {
    const folder = join(temporaryFolder(), 'a', 'b', 'c');
    write(join(folder, 'here'), '');
    const entries = [...Object.keys(WHEEL_ENTRIES), name].map((entry) => [entry, 1] as const);
    expect(() => chooseEntries(entries, 'x.whl')).toThrow(/unsafe path/);
    if (name.includes('\u0000')) return; // zip writers cut the name there
    const wheel = makeZip({ ...WHEEL_ENTRIES, [name]: 'escaped' });
    await expect(unpackWheel(wheel, folder, process.env)).rejects.toMatchObject({ code: 'wheel_unusable' });
    expect(existsSync(join(folder, '..', '..', 'escaped.h'))).toBe(false);
  });

  test('refuses an entry larger than any library', () => {
    const entries = Object.keys(WHEEL_ENTRIES).map((name) => [name, 2 ** 32] as const);
    expect(() => chooseEntries(entries, 'x.whl')).toThrow(/4294967296 bytes/);
  });

  test.each([
    ['a wheel of something else', { 'numpy/core.so': '' }],
    ['a wheel without the framework', { 'tensorflow/libtensorflow_cc.so.2': '' }],
  ])('refuses %s', async (_case, entries) => {
    await expect(unpackWheel(makeZip(entries), temporaryFolder(), process.env)).rejects.toMatchObject({
      code: 'wheel_unusable',
      exitCode: 2,
    });
  });

  test('refuses a file that is not a zip', async () => {
    const path = write(join(temporaryFolder(), 'x.whl'), 'not a zip');
    await expect(unpackWheel(path, temporaryFolder(), process.env)).rejects.toMatchObject({ code: 'wheel_unusable' });
  });
});
