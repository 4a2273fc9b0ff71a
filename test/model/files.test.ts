/** Files inside a model folder: which are found, and which links are followed. */
import { spawnSync } from 'node:child_process';
import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { findFile, modelPlace } from '../../src/model/files.js';
import { refusal } from '../helpers/refusal.js';
import { temporaryFolder } from '../helpers/temporary.js';

const root = temporaryFolder();
const folder = join(root, 'model');
mkdirSync(join(folder, 'inner'), { recursive: true });
writeFileSync(join(root, 'secret'), 'secret');
writeFileSync(join(folder, 'config.json'), '{}');
writeFileSync(join(folder, 'inner', 'deep'), '');
const hasPipe = spawnSync('mkfifo', [join(folder, 'pipe')]).status === 0;
for (const [name, target] of [
  ['within', 'config.json'],
  ['within-deep', 'inner/deep'],
  ['chain', 'within'],
  ['outside', '../secret'],
  ['outside-absolute', join(root, 'secret')],
  ['outside-chain', 'outside'],
  ['through-and-back', '../model/config.json'],
  ['to-folder', 'inner'],
  ['to-itself', 'to-itself'],
  ['to-nothing', 'nothing'],
  ['to-device', '/dev/zero'],
  ['to-sibling', '../model-evil'],
] as const)
  symlinkSync(target, join(folder, name));
writeFileSync(join(root, 'model-evil'), 'a name that begins like the folder');

describe('findFile', () => {
  test.each(['config.json', 'within', 'within-deep', 'chain', 'through-and-back'])('finds %s', (name) => {
    expect(findFile(folder, name)).toBe(join(folder, name));
  });

  test('says nothing of a file that is not there', () => {
    expect(findFile(folder, 'nothing')).toBeUndefined();
  });

  test.each([
    ['outside', 'file_outside'],
    ['outside-absolute', 'file_outside'],
    ['outside-chain', 'file_outside'],
    ['to-device', 'file_outside'],
    ['to-sibling', 'file_outside'],
    ['to-folder', 'file_kind'],
    ['inner', 'file_kind'],
    ['to-itself', 'link_broken'],
    ['to-nothing', 'link_broken'],
    ['../secret', 'file_outside'],
    ['..', 'file_outside'],
    ['inner/deep', 'file_outside'],
    ['inner\\deep', 'file_outside'],
    ['/etc/passwd', 'file_outside'],
    ['a\0b', 'file_outside'],
  ])('refuses %j', (name, code) => {
    expect(refusal(() => findFile(folder, name))).toBe(code);
  });

  (hasPipe ? test : test.skip)('refuses a pipe', () => {
    expect(refusal(() => findFile(folder, 'pipe'))).toBe('file_kind');
  });
});

describe('a hub cache', () => {
  const repository = join(root, 'models--a--b');
  const snapshot = join(repository, 'snapshots', '0123abcd');
  mkdirSync(snapshot, { recursive: true });
  mkdirSync(join(repository, 'blobs'));
  mkdirSync(join(root, 'models--c--d', 'blobs'), { recursive: true });
  writeFileSync(join(repository, 'blobs', 'hash'), '{}');
  writeFileSync(join(repository, 'other'), '{}');
  writeFileSync(join(root, 'models--c--d', 'blobs', 'hash'), '{}');
  symlinkSync('../../blobs/hash', join(snapshot, 'config.json'));
  symlinkSync('../../other', join(snapshot, 'beside-blobs'));
  symlinkSync('../../../models--c--d/blobs/hash', join(snapshot, 'other-repository'));

  test('has its files in its own blobs', () => {
    expect(findFile(snapshot, 'config.json')).toBe(join(snapshot, 'config.json'));
  });

  test.each(['beside-blobs', 'other-repository'])('has none elsewhere: %s', (name) => {
    expect(refusal(() => findFile(snapshot, name))).toBe('file_outside');
  });
});

describe('modelPlace', () => {
  test('follows a link that is given', () => {
    symlinkSync('model', join(root, 'link'));
    expect(modelPlace(join(root, 'link'))).toEqual({ folder });
  });

  test('takes a .gguf file by the name it is given, and one that lies alone in a folder without config.json', () => {
    const alone = join(root, 'alone');
    mkdirSync(join(alone, 'blobs'), { recursive: true });
    writeFileSync(join(alone, 'blobs', 'abc'), '');
    symlinkSync('blobs/abc', join(alone, 'm.GGUF'));
    expect(modelPlace(join(alone, 'm.GGUF'))).toEqual({ file: join(alone, 'm.GGUF') });
    expect(modelPlace(alone)).toEqual({ file: join(alone, 'm.GGUF') });
    writeFileSync(join(alone, 'other.gguf'), '');
    expect(refusal(() => modelPlace(alone))).toBe('model_ambiguous');
    writeFileSync(join(alone, 'config.json'), '{}');
    expect(modelPlace(alone)).toEqual({ folder: alone });
  });

  test.each([
    ['nothing', 'model_missing'],
    ['secret', 'model_not_directory'],
    ['model/to-itself', 'model_missing'],
    ['a\0b', 'model_missing'],
  ])('refuses %j', (name, code) => {
    expect(refusal(() => modelPlace(join(root, name)))).toBe(code);
  });
});
