import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parse, stringify } from 'yaml';
import { openHaystack } from '../../src/data/haystack.js';
import { DATASETS } from '../../src/data/lists.js';
import { makeNeedle } from '../../src/data/needle.js';
import type { Needle, NeedleOptions } from '../../src/data/needle.js';
import { loadTask } from '../../src/data/task.js';
import { chatTokenizer, textOf, tokenizer } from '../helpers/duo-mini.js';
import { refusal } from '../helpers/refusal.js';
import { temporaryFolder } from '../helpers/temporary.js';

const folder = temporaryFolder();

const essay = openHaystack('essay');
const evaluated = essay.text('evaluation').text;

function make(suite: string, options: Partial<NeedleOptions>, encoder = tokenizer): Needle {
  return makeNeedle(loadTask(suite), { contextTokens: 1024, seed: 1, index: 0, ...options }, encoder, essay);
}

const tokensOf = (needle: Needle): number =>
  [needle, ...needle.followUps].reduce((sum, { ids, answerIds }) => sum + ids.length + answerIds.length, 0);

const NIAH = / One of the special magic numbers for ([a-z]+-[a-z]+) is: (\d{7})\./;

describe('a number needle', () => {
  const needle = make('niah', { depth: 0.5 });
  const text = textOf(needle.ids);

  test('has the prompt of the model card word for word, and ends where the answer begins', () => {
    const [, key = '', value] = NIAH.exec(text) ?? [];
    const opening =
      '<|bos|>A special magic number is hidden within the following text. Make sure to memorize it. I will quiz you about the number afterwards.\n';
    const question = `\nWhat is the special magic number for ${key} mentioned in the provided text? The special magic number for ${key} mentioned in the provided text is`;
    expect(text.startsWith(opening)).toBe(true);
    expect(text.endsWith(question)).toBe(true);
    expect(needle.answer).toBe(value);
    expect(textOf(needle.answerIds)).toBe(` ${value ?? ''}`);
    expect(evaluated).toContain(
      text
        .slice(opening.length, -question.length)
        .replace(NIAH, '')
        .replace(/\uFFFD+$/, ''),
    );
  });

  test('tells the value once, and no needle tells another', () => {
    expect(text.split(needle.answer)).toHaveLength(2);
    expect(text.match(/special magic numbers for/g)).toHaveLength(1);
  });

  test.each([0, 0.05, 0.25, 0.5, 0.9, 1])('at depth %f stands at the last sentence start before that share of the haystack', (depth) => {
    for (const index of [0, 1, 2]) {
      const { ids, depth: placed = Number.NaN, contextTokens } = make('niah', { depth, index });
      expect(contextTokens).toBe(1024);
      const [before = '', after = ''] = textOf(ids).split(NIAH.exec(textOf(ids))?.[0] ?? '');
      const opening = tokenizer.encode(before.slice(0, before.indexOf('\n') + 1)).length;
      const closing = after.lastIndexOf('\nWhat is the special magic');
      const above = tokenizer.encode(before).length - opening;
      const below = tokenizer.encode(after.slice(0, closing)).length;
      // Text cut inside a character decodes to other tokens: a few at most.
      expect(placed).toBeCloseTo(above / (above + below), 2);
      expect(placed).toBeLessThanOrEqual(depth);
      // No sentence starts between the needle and the depth asked for.
      const passed = textOf(tokenizer.encode(after).slice(0, Math.max(0, Math.floor(depth * (above + below)) - above)));
      expect(passed.slice(1)).not.toMatch(/[.!?]["')\]]* ["'(]?[A-Z][a-z]+ \w+ \w+/);
      expect(before).toMatch(/([.!?]["')\]]*|afterwards\.\n|\n\n[^\n]+|[^.!?\n]+)$/);
    }
  });
});

test.each([200, 511, 512, 1500, 2048])('prompt and answer have exactly %i tokens, whatever the depth, sample and chat', (contextTokens) => {
  for (const [index, depth] of [0, 0.3, 1].entries()) {
    for (const chat of [false, true]) {
      const needle = make('niah', { contextTokens, depth, index, chat }, chatTokenizer);
      expect([tokensOf(needle), needle.contextTokens]).toEqual([contextTokens, contextTokens]);
    }
  }
});

describe('ten passkeys', () => {
  const needle = make('passkey', { contextTokens: 1024 });
  const questions = [needle, ...needle.followUps];

  test('are asked one after the other, each answer eight words', () => {
    const hidden = [...textOf(needle.ids).matchAll(/the (\w+) passkey to the vault:((?: [a-z]+){8})\n\n/g)];
    expect(questions.map(({ answer }) => ` ${answer}`)).toEqual(hidden.map(([, , words]) => words));
    expect(questions.map(({ answerIds }) => answerIds.length)).toEqual(Array(10).fill(8));
    expect(needle.followUps.map(({ ids }) => textOf(ids))).toEqual(
      hidden
        .slice(1)
        .map(([, ordinal]) => `\n\nBased on the content of the book, what is the ${ordinal ?? ''} passkey to the vault?\nPasskey:`),
    );
  });

  test('have drawn depths and no depth of their own', () => {
    expect([tokensOf(needle), needle.contextTokens]).toEqual([1024, 1024]);
    expect(needle.depth).toBeUndefined();
    expect(needle.depths).toEqual([...needle.depths].sort((a, b) => a - b));
    expect(refusal(() => make('passkey', { depth: 0.5 }))).toBe('suite_depth');
  });

  test('need room: a shorter sample is refused with the length it needs', () => {
    expect(refusal(() => make('passkey', { contextTokens: 600 }))).toBe('sample_too_short');
  });
});

test.each([0.1, 0.5, 0.9])('of several numbers under several keys, the one at depth %f is asked', (depth) => {
  const niah = parse(readFileSync(join(DATASETS, 'niah.yaml'), 'utf8')) as Record<string, unknown>;
  const file = join(folder, 'multikey.yaml');
  writeFileSync(file, stringify({ ...niah, name: 'multikey', facts: 4, ask: 1 }));
  for (const index of [0, 1, 2, 3]) {
    const needle = make(file, { depth, index });
    const text = textOf(needle.ids);
    const hidden = [...text.matchAll(new RegExp(NIAH, 'g'))];
    const asked = hidden.findIndex(([, key = '']) => text.endsWith(`number for ${key} mentioned in the provided text is`));
    expect(hidden).toHaveLength(4);
    expect(hidden[asked]?.[2]).toBe(needle.answer);
    expect(needle.depths[asked]).toBe(needle.depth);
    expect(needle.depth).toBeLessThanOrEqual(depth);
    expect(needle.depth).toBeGreaterThan(depth - 0.15);
    expect([tokensOf(needle), needle.followUps.length]).toEqual([1024, 0]);
  }
});

test('the classic sentence is asked by its city', () => {
  const { ids, answer } = make('city', { depth: 0.3 });
  expect(textOf(ids)).toContain('\n\nThe best thing to do in San Francisco is eat a sandwich and sit in Dolores Park on a sunny day.\n\n');
  expect(textOf(ids)).toMatch(
    /\n\nQuestion: What is the best thing to do in San Francisco\?\n\nAnswer: The best thing to do in San Francisco is$/,
  );
  expect(answer).toBe('eat a sandwich and sit in Dolores Park on a sunny day');
});

test('in a chat the answer begins in the turn of the assistant', () => {
  const { ids } = make('niah', { depth: 0.5, chat: true }, chatTokenizer);
  expect(textOf(ids)).toMatch(
    /\?<\|im_end\|>\n<\|im_start\|>assistant\nThe special magic number for \S+ mentioned in the provided text is$/,
  );
});

test('samples of a cell, cells and seeds differ, and each is the same every time', () => {
  const cells: Partial<NeedleOptions>[] = [{}, { index: 1 }, { seed: 2 }, { depth: 0.6 }, { contextTokens: 1025 }];
  const needles = cells.map((cell) => make('niah', { depth: 0.5, ...cell }));
  expect(new Set(needles.map(({ answer }) => answer)).size).toBe(cells.length);
  expect(needles).toEqual(cells.map((cell) => make('niah', { depth: 0.5, ...cell })));
});

test('a suite with the layout of the reference is refused', () => {
  expect(refusal(() => make('reference', {}))).toBe('suite_layout');
});
