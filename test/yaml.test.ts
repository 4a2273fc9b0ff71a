/** YAML of strangers: what would take all memory or hours is refused. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { readConfigFile } from '../src/config/read-file.js';
import { resolve } from '../src/config/resolve.js';
import { loadTask } from '../src/data/task.js';
import { readYamlFile } from '../src/yaml.js';
import { refusal } from './helpers/refusal.js';
import { temporaryFolder } from './helpers/temporary.js';

const root = temporaryFolder();

let written = 0;
function file(text: string): string {
  const path = join(root, `${written++}.yaml`);
  writeFileSync(path, text);
  return path;
}

const KIBIBYTE = 1024;
const filled = (piece: string, kibibytes: number): string => piece.repeat((kibibytes * KIBIBYTE) / piece.length);
const bomb = Array.from(
  { length: 9 },
  (_, i) =>
    `l${i}: &l${i} [${Array(9)
      .fill(i === 0 ? 'x' : `*l${i - 1}`)
      .join(', ')}]`,
).join('\n');

test('a file of many words is read', () => {
  const words = (readYamlFile(file(`words:\n${filled('  - word\n', 27)}`)) as { words: string[] }).words;
  expect(words.length).toBe(3 * KIBIBYTE);
});

test('a value nested as deeply as ours is read', () => {
  expect(readYamlFile(file(`${'['.repeat(20)}1${']'.repeat(20)}`))).toEqual(JSON.parse(`${'['.repeat(20)}1${']'.repeat(20)}`));
});

test.each([
  ['brackets without end', filled('[', 31)],
  ['braces without end', filled('{a: ', 31)],
  ['lists in lists', filled('- ', 31)],
  ['keys in keys', filled('? ', 31)],
  ['a hundred levels of indentation', Array.from({ length: 200 }, (_, i) => `${' '.repeat(i)}a:`).join('\n')],
  ['aliases that multiply', bomb],
  ['an alias of itself', 'a: &a [*b]\nb: &b [*a]'],
  ['what takes time by the square', filled('&a ', 31)],
  ['a megabyte', filled('# \n', 1024)],
  ['the same key twice', 'a: 1\na: 2'],
])('%s is refused', (_title, text) => {
  const path = file(text);
  expect(refusal(() => readConfigFile(path))).toBe('config_unreadable');
  expect(refusal(() => loadTask(path))).toBe('task_unreadable');
});

test.each(['__proto__', 'constructor', 'toString'])('%s is no setting', (name) => {
  const settings = { defaults: {}, environment: {}, flags: {}, file: readConfigFile(file(`${name}: 1`)) };
  expect(Object.keys(settings.file).length === 0 || refusal(() => resolve({}, settings)) === 'settings').toBe(true);
});
