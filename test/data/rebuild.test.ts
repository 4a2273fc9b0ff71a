import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parse, stringify } from 'yaml';
import { openHaystack } from '../../src/data/haystack.js';
import { DATASETS } from '../../src/data/lists.js';
import { parseMix } from '../../src/data/mix.js';
import { makeNeedle } from '../../src/data/needle.js';
import { rebuild } from '../../src/data/rebuild.js';
import { dataHash } from '../../src/data/recipe.js';
import type { Recipe } from '../../src/data/recipe.js';
import { calibrationRecipe, makeCalibrationSample } from '../../src/data/sample.js';
import type { SampleOptions } from '../../src/data/sample.js';
import { loadTask } from '../../src/data/task.js';
import { chatTokenizer, tokenizer } from '../helpers/duo-mini.js';
import { refusal } from '../helpers/refusal.js';
import { temporaryFolder } from '../helpers/temporary.js';

const folder = temporaryFolder();

const essay = openHaystack('essay');
const options: SampleOptions = {
  mix: parseMix('words,numbers,reference'),
  lengths: [512, 1024],
  facts: 5,
  words: 6,
  labels: 'block',
  chat: false,
};
const throughJson = (recipe: Recipe): unknown => JSON.parse(JSON.stringify(recipe));

test.each([0, 1, 2, 3, 4, 5, 6, 7])('calibration sample %i comes again from its recipe row', (index) => {
  const mixed = { ...options, lengths: [1024, 1100], labels: index % 2 === 0 ? 'block' : 'answer', chat: index % 3 === 0 } as const;
  const sample = makeCalibrationSample(mixed, chatTokenizer, essay, 7, index);
  expect(rebuild(throughJson(sample.recipe), chatTokenizer, () => essay)).toEqual(sample);
  expect(calibrationRecipe(mixed, chatTokenizer, essay, 7, index)).toEqual(sample.recipe);
});

test.each(['niah', 'passkey', 'city'])('a needle of %s comes again from its recipe row', (suite) => {
  const depth = suite === 'passkey' ? undefined : 0.7;
  const needle = makeNeedle(loadTask(suite), { contextTokens: 1024, depth, seed: 3, index: 4 }, tokenizer, essay);
  expect(rebuild(throughJson(needle.recipe), tokenizer)).toEqual(needle);
});

test('a row is small', () => {
  const { recipe } = makeCalibrationSample({ ...options, facts: 10, lengths: [1600] }, tokenizer, essay, 7, 0);
  expect(JSON.stringify(recipe).length).toBeLessThan(700);
});

describe('a recipe whose materials changed is refused', () => {
  const { recipe } = makeNeedle(loadTask('niah'), { contextTokens: 300, depth: 0.5, seed: 1, index: 0 }, tokenizer, essay);

  test('another tokenizer or chat template', () => {
    const other = { ...tokenizer, encode: (text: string) => tokenizer.encode(text) };
    expect(() => rebuild(recipe, other)).toThrow(/^the tokenizer is not the one/);
    const chat = makeNeedle(loadTask('niah'), { contextTokens: 300, depth: 0.5, seed: 1, index: 0, chat: true }, chatTokenizer, essay);
    const changed = {
      ...chatTokenizer,
      chat: (...messages: Parameters<typeof chatTokenizer.chat>) => `>>${chatTokenizer.chat(...messages) ?? ''}`,
    };
    expect(() => rebuild(chat.recipe, changed)).toThrow(/^the chat template is not the one/);
  });

  test("the user's task or text, edited", () => {
    const [task, text] = [join(folder, 'own.yaml'), join(folder, 'own.txt')];
    const niah = parse(readFileSync(join(DATASETS, 'niah.yaml'), 'utf8')) as Record<string, unknown>;
    writeFileSync(task, stringify({ ...niah, name: 'own' }));
    writeFileSync(text, 'One more sentence about the sea. '.repeat(200));
    const own = makeNeedle(loadTask(task), { contextTokens: 300, depth: 0.5, seed: 1, index: 0 }, tokenizer, openHaystack(text));
    expect(rebuild(own.recipe, tokenizer)).toEqual(own);
    writeFileSync(text, 'One more sentence about the land. '.repeat(200));
    expect(() => rebuild(own.recipe, tokenizer)).toThrow(/^the haystack is not the one/);
    writeFileSync(task, stringify({ ...niah, name: 'own', after: '\n' }));
    expect(() => rebuild(own.recipe, tokenizer)).toThrow(/^the task is not the one/);
  });

  test.each([[null], [{}], [{ ...recipe, use: 'else' }], [{ ...recipe, more: 1 }], [{ ...recipe, depths: [] }]])(
    'a row that is none',
    (row) => {
      expect(refusal(() => rebuild(row, tokenizer))).toBe('recipe_invalid');
    },
  );
});

test('the data hash follows the data: its order, seeds and settings', () => {
  const recipes = (seed: number, changes: Partial<SampleOptions> = {}): Recipe[] =>
    [0, 1, 2, 3].map((index) => calibrationRecipe({ ...options, ...changes }, tokenizer, essay, seed, index));
  expect(dataHash(recipes(1))).toBe(dataHash(recipes(1)));
  expect(dataHash(recipes(1))).toMatch(/^[0-9a-f]{64}$/);
  const others = [recipes(1), recipes(2), recipes(1).reverse(), recipes(1, { labels: 'answer' }), recipes(1, { words: 7 })];
  expect(new Set(others.map(dataHash)).size).toBe(others.length);
});
