import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parse, stringify } from 'yaml';
import { DATASETS } from '../../src/data/lists.js';
import { hasDepth, loadTask, taskNames } from '../../src/data/task.js';
import { refusal } from '../helpers/refusal.js';
import { temporaryFolder } from '../helpers/temporary.js';

const folder = temporaryFolder();

const words = parse(readFileSync(join(DATASETS, 'words.yaml'), 'utf8')) as Record<string, unknown>;

function write(changes: Readonly<Record<string, unknown>>): string {
  const path = join(folder, 'task.yaml');
  writeFileSync(path, stringify({ ...words, ...changes }));
  return path;
}

describe('the tasks of datasets/', () => {
  test('are those the commands name', () => {
    expect(taskNames()).toEqual(['city', 'niah', 'numbers', 'passkey', 'reference', 'words']);
  });

  test.each(['city', 'niah', 'numbers', 'passkey', 'reference', 'words'])('%s loads under its own name', (name) => {
    expect(loadTask(name)).toMatchObject({ name, source: name });
  });

  test.each(readdirSync(DATASETS))('%s explains every key in a comment above it', (file) => {
    const lines = readFileSync(join(DATASETS, file), 'utf8').split('\n');
    const bare = lines.filter((line, index) => /^\w+:/.test(line) && !lines[index - 1]?.startsWith('#'));
    expect(bare).toEqual([]);
  });

  test('ask as many facts as they should', () => {
    expect(['niah', 'city', 'passkey', 'words', 'numbers'].map((name) => hasDepth(loadTask(name)))).toEqual([
      true,
      true,
      false,
      false,
      false,
    ]);
  });

  test('draw from lists that hold what they say', () => {
    const { keys, values } = loadTask('words');
    expect(keys.kind === 'ordered' && keys.list.length).toBe(20);
    expect(keys.kind === 'ordered' && keys.list.slice(0, 3)).toEqual(['first', 'second', 'third']);
    expect(values.kind === 'words' && values.list.map((word) => word.charAt(0)).join('')).toBe('abcdefghijklmnopqrstuvwxyz');
  });
});

describe("a user's task file", () => {
  test('may write lists out, and its hash follows what it says and not how it is written', () => {
    const written = loadTask(write({ keys: { kind: 'ordered', list: ['red', 'green'] }, facts: 2 }));
    expect(written.keys).toEqual({ kind: 'ordered', list: ['red', 'green'] });
    expect(loadTask(write({})).hash).toBe(loadTask('words').hash);
    expect(loadTask(write({ after: '' })).hash).not.toBe(loadTask('words').hash);
  });

  test.each([
    ['a key that is not known', { colour: 'red' }, /colour/],
    ['a key that is missing', { needle: undefined }, /needle/],
    ['a needle without a value', { needle: 'nothing' }, /\{value\} is missing\n\s+→ at needle/],
    ['an answer with two values', { answer: '{value}{value}' }, /more than once\n\s+→ at answer/],
    ['a value in the question', { question: '{value}?' }, /cannot stand here\n\s+→ at question/],
    ['an unknown list', { values: { kind: 'words', list: 'greek', count: 2 } }, /no list greek; there are nato/],
    ['a kind that is not known', { values: { kind: 'dates' } }, /at values/],
    ['more facts than keys', { facts: 21 }, /keys for 20 facts only/],
    ['the same key twice', { keys: { kind: 'ordered', list: ['red', 'red'] }, facts: 2 }, /twice/],
    ['more questions than facts', { ask: 6 }, /only 5 facts are hidden/],
    ['depths in the wrong order', { depths: { min: 0.9, max: 0.1 } }, /min is above max/],
    ['depths that are no shares', { depths: { min: 5, max: 95 } }, /at depths.min/],
    ['a name that is a path', { name: '../x' }, /letters, digits and hyphens/],
  ])('with %s is refused', (_, changes, message) => {
    const file = write(changes);
    expect(refusal(() => loadTask(file))).toBe('task_invalid');
    expect(() => loadTask(file)).toThrow(message);
  });

  test('has all its problems listed at once', () => {
    const file = write({ needle: 'x', facts: 0, colour: 'red' });
    expect(() => loadTask(file)).toThrow(/colour[^]*facts|facts[^]*colour/);
  });

  test('is a file that exists and holds YAML', () => {
    const broken = join(folder, 'broken.yaml');
    writeFileSync(broken, 'a: [1');
    expect(refusal(() => loadTask(broken))).toBe('task_unreadable');
    expect(refusal(() => loadTask(join(folder, 'missing.yaml')))).toBe('task_unknown');
    expect(refusal(() => loadTask('word'))).toBe('task_unknown');
    expect(refusal(() => loadTask('lists'))).toBe('task_unknown');
  });
});
