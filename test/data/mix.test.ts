import { parseMix, taskAt } from '../../src/data/mix.js';
import { InputError } from '../../src/errors.js';

const shares = (text: string): [string, number][] => parseMix(text).map(({ task, share }) => [task.name, share]);

test.each<[string, [string, number][]]>([
  ['words', [['words', 1]]],
  ['words:1,numbers:1', [['words', 0.5], ['numbers', 0.5]]], // prettier-ignore
  ['words, numbers:3', [['words', 0.25], ['numbers', 0.75]]], // prettier-ignore
  ['words:0.5,numbers:0', [['words', 1]]],
])('%s is a mix', (text, expected) => {
  expect(shares(text)).toEqual(expected);
});

test.each(['', 'words:', 'words:x', 'words:-1', 'words:0', 'words,,numbers', 'words:Infinity', 'verbs:1'])('%j is none', (text) => {
  expect(() => parseMix(text)).toThrow(InputError);
});

test.each([
  ['words:1,numbers:1', 40, 20],
  ['words:1,numbers:3', 40, 10],
  ['words:9,numbers:1', 100, 90],
])('any run of %s holds nearly the shares asked for', (text, count, expected) => {
  const mix = parseMix(text);
  for (const [seed, first] of [1, 2, 3].flatMap((seed) => [0, 7, 1000].map((first) => [seed, first] as const))) {
    const names = Array.from({ length: count }, (_, index) => taskAt(mix, seed, first + index).name);
    expect(Math.abs(names.filter((name) => name === 'words').length - expected)).toBeLessThanOrEqual(2);
  }
});

test('the order of tasks follows the seed', () => {
  const mix = parseMix('words:1,numbers:1');
  const order = (seed: number): string => Array.from({ length: 30 }, (_, index) => taskAt(mix, seed, index).name).join();
  expect(order(1)).toBe(order(1));
  expect(new Set([1, 2, 3, 4].map(order)).size).toBeGreaterThan(1);
});
