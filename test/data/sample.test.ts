import { join } from 'node:path';
import { assembleExact, tokenizeScript } from '../../src/data/assemble.js';
import { openHaystack } from '../../src/data/haystack.js';
import { parseMix } from '../../src/data/mix.js';
import type { Recipe } from '../../src/data/recipe.js';
import { calibrationRecipe, checkSamples, makeCalibrationSample } from '../../src/data/sample.js';
import type { Sample, SampleOptions } from '../../src/data/sample.js';
import { writeScript } from '../../src/data/script.js';
import { loadTask } from '../../src/data/task.js';
import type { Warning } from '../../src/errors.js';
import { readSafetensors } from '../../src/model/safetensors.js';
import { readTensor } from '../../src/model/weight-file.js';
import { chatTokenizer, flaggedText, textOf, tokenizer } from '../helpers/duo-mini.js';
import { GOLDEN } from '../helpers/paths.js';
import { refusal } from '../helpers/refusal.js';

const essay = openHaystack('essay');

function options(changes: Partial<SampleOptions> = {}): SampleOptions {
  return { mix: parseMix('words:1,numbers:1'), lengths: [512], facts: 5, words: 8, labels: 'block', chat: false, ...changes };
}

function make(changes: Partial<SampleOptions>, seed = 1, index = 0, encoder = tokenizer): Sample {
  return makeCalibrationSample(options(changes), encoder, essay, seed, index);
}

function recipe(changes: Partial<SampleOptions>, seed: number, index: number): Recipe {
  return calibrationRecipe(options(changes), tokenizer, essay, seed, index);
}

const WORDS = { mix: parseMix('words') };
const NUMBERS = { mix: parseMix('numbers') };

describe('length', () => {
  test.each([512, 513, 600, 777, 1024, 2047])('is exactly %i tokens, whatever the task, seed and chat', (contextTokens) => {
    for (const [index, chat] of [0, 1, 2, 3, 4, 5].flatMap((n) => [false, true].map((on) => [n, on] as const))) {
      const sample = make({ lengths: [contextTokens], chat }, index, index, chatTokenizer);
      expect([sample.ids.length, sample.labels.length, sample.answer.length]).toEqual([contextTokens, contextTokens, contextTokens]);
    }
  });

  test('takes every length once before any comes again, in an order of the seed', () => {
    const lengths = [600, 700, 800, 900];
    const drawn = (seed: number): number[] => Array.from({ length: 8 }, (_, index) => recipe({ lengths }, seed, index).contextTokens);
    expect(drawn(1).slice(0, 4).sort()).toEqual(lengths);
    expect(drawn(1).slice(4).sort()).toEqual(lengths);
    expect(new Set([1, 2, 3, 4].map((seed) => drawn(seed).join())).size).toBeGreaterThan(1);
  });

  test('fewer facts than asked for still spread over the whole haystack', () => {
    const shares = Array.from({ length: 6 }, (_, index) => {
      const book =
        /<book>([^]*) <\/book>/.exec(textOf(make({ ...WORDS, lengths: [8000], facts: 20, words: 200 }, 1, index).ids))?.[1] ?? '';
      const last = book.lastIndexOf('Remember this sequence');
      return haystackOf(`<book>${book.slice(0, last)} </book>`).length / haystackOf(`<book>${book} </book>`).length;
    });
    // The last of 16 depths lies at 0.05 + 0.9 * 16 / 17 on average; of the 16 lowest of 20 at 0.05 + 0.9 * 16 / 21.
    expect(shares.reduce((sum, share) => sum + share, 0) / shares.length).toBeGreaterThan(0.8);
  });

  test('a sample too short for all facts has fewer and says so beforehand', () => {
    const warnings: Warning[] = [];
    const long = options({ lengths: [600], facts: 10, words: 32, ...WORDS });
    checkSamples(long, tokenizer, essay, (warning) => warnings.push(warning));
    expect(warnings).toEqual([
      expect.objectContaining({ code: 'facts_reduced', message: 'samples of 600 tokens hold 4 of the 10 facts of the task words' }),
    ]);
    const sample = make(long);
    expect(sample.ids).toHaveLength(600);
    expect(flaggedText(sample.ids, sample.labels).match(/what is the \w+ passkey/g)).toEqual(
      ['first', 'second', 'third', 'fourth'].map((ordinal) => `what is the ${ordinal} passkey`),
    );
    // One fact more would leave less than a tenth to the haystack.
    const needles = textOf(sample.ids).match(/Remember this[^]*?\n\n/g) ?? [];
    const oneFact =
      tokenizer.encode(`\n\n${needles[3] ?? ''}`).length + Math.ceil(sample.labels.reduce((sum, label) => sum + label, 0) / 4);
    const used = sample.ids.length - tokenizer.encode(haystackOf(textOf(sample.ids))).length;
    expect(used + oneFact).toBeGreaterThan(0.9 * 600 - 4);
  });

  test('a sample too short for one fact is refused with the length it needs', () => {
    const fewest = (contextTokens: number): number => {
      try {
        return make({ ...WORDS, lengths: [contextTokens], words: 32 }).ids.length;
      } catch (error) {
        expect(error).toMatchObject({ code: 'sample_too_short', exitCode: 2 });
        return Number(/\d+/.exec((error as { facts: { expected: string } }).facts.expected)?.[0]);
      }
    };
    const needed = fewest(100);
    expect(needed).toBeGreaterThan(100);
    expect(fewest(needed)).toBe(needed);
    expect(() => checkSamples(options({ ...WORDS, lengths: [needed - 1], words: 32 }), tokenizer, essay, () => undefined)).toThrow(
      /one fact/,
    );
  });
});

/** The book without its passkeys. */
function haystackOf(text: string): string {
  const book = /<book>([^]*) <\/book>/.exec(text)?.[1] ?? '';
  return book.replaceAll(/\n\nRemember this[^]*?\n\n/g, '');
}

describe('passkeys of words', () => {
  const sample = make({ ...WORDS, lengths: [1024], facts: 10 }, 3, 5);
  const text = textOf(sample.ids);
  const hidden = [...text.matchAll(/\n\nRemember this sequence of words, it's the (\w+) passkey to the vault:((?: \w+){8})\n\n/g)];

  test('are hidden and asked in order, and the answers are theirs', () => {
    const asked = [
      ...text.matchAll(/Based on the content of the book, what is the (\w+) passkey to the vault\?\nPasskey:((?: \w+){8})\n\n/g),
    ];
    expect(hidden.map(([, ordinal]) => ordinal)).toEqual('first second third fourth fifth sixth seventh eighth ninth tenth'.split(' '));
    expect(asked.map(([, ordinal, words]) => [ordinal, words])).toEqual(hidden.map(([, ordinal, words]) => [ordinal, words]));
    expect(flaggedText(sample.ids, sample.answer)).toBe(hidden.map(([, , words]) => words).join(''));
    expect(sample.answer.reduce((sum, flag) => sum + flag, 0)).toBe(80);
  });

  test('stand where a sentence starts, in text of the training part', () => {
    for (const { index } of hidden) expect(text.slice(0, index)).toMatch(/([.!?]["')\]]*|<book>|\n\n)$/);
    expect(essay.text('training').text).toContain(haystackOf(text).slice(0, -4));
  });

  test('are labelled from the first question to the end of the last answer, and nowhere else', () => {
    const start = sample.labels.indexOf(1);
    expect(textOf(sample.ids.slice(0, start))).toMatch(/ <\/book>\.\n\n$/);
    expect(textOf(sample.ids.slice(start))).toMatch(/^Based on the content of the book, what is the first /);
    expect(sample.labels.slice(start).every((label) => label === 1)).toBe(true);
  });

  test('alone are labelled with labels answer, in the very same sample', () => {
    const alone = make({ ...WORDS, lengths: [1024], facts: 10, labels: 'answer' }, 3, 5);
    expect(alone.ids).toEqual(sample.ids);
    expect(alone.labels).toEqual(alone.answer);
    expect(alone.answer).toEqual(sample.answer);
  });

  test('have as many words as the task says when nothing else is asked', () => {
    const own = make({ ...WORDS, facts: undefined, words: undefined });
    expect(own.answer.reduce((sum, flag) => sum + flag, 0)).toBe(5 * 8);
  });

  test('more than there are ordinals are refused', () => {
    expect(() => make({ ...WORDS, lengths: [8000], facts: 21 })).toThrow(/keys for 20 facts only/);
  });
});

test('numbers are asked by key in another order than they are hidden', () => {
  const orders = [1, 2, 3].map((seed) => {
    const { ids, answer, labels } = make({ ...NUMBERS, lengths: [1024] }, seed);
    const text = textOf(ids);
    const facts = [...text.matchAll(/ One of the special magic numbers for ([a-z]+-[a-z]+) is: (\d{7})\./g)].map(([, key, value]) => ({
      key,
      value,
    }));
    const asked = [...text.matchAll(/for ([a-z]+-[a-z]+) mentioned in the provided text is (\d{7})\./g)].map(([, key, value]) => ({
      key,
      value,
    }));
    expect(new Set(facts.map(({ key }) => key)).size).toBe(5);
    expect(asked.toSorted(byKey)).toEqual(facts.toSorted(byKey));
    expect(flaggedText(ids, answer)).toBe(asked.map(({ value }) => ` ${value ?? ''}`).join(''));
    expect(flaggedText(ids, labels)).toMatch(/^\nWhat is the special magic number for[^]*\.$/);
    return asked.map(({ key }) => facts.findIndex((fact) => fact.key === key)).join('');
  });
  expect(orders.some((order) => order !== '01234')).toBe(true);
});

const byKey = (a: { key: string | undefined }, b: { key: string | undefined }): number => (a.key ?? '').localeCompare(b.key ?? '');

describe('a seed', () => {
  test('and a number give one sample', () => {
    for (const index of [0, 1, 2]) expect(make({}, 1, index)).toEqual(make({}, 1, index));
    const elsewhere = makeCalibrationSample(options(), tokenizer, openHaystack('essay'), 1, 2);
    expect(elsewhere).toEqual(make({}, 1, 2));
  });

  test('or number that differs gives another passkey, place and text', () => {
    const texts = [make(WORDS, 1, 0), make(WORDS, 2, 0), make(WORDS, 1, 1), make({ ...WORDS, part: 'validation' }, 1, 0)];
    expect(new Set(texts.map(({ ids, answer }) => flaggedText(ids, answer))).size).toBe(4);
    expect(new Set(texts.map(({ ids }) => haystackOf(textOf(ids)).slice(0, 40))).size).toBe(4);
    expect(new Set(texts.map(({ recipe }) => recipe.depths.join())).size).toBe(4);
  });

  test('draws depths within the bounds of the task', () => {
    const depths = Array.from({ length: 40 }, (_, index) => recipe(WORDS, 5, index).depths).flat();
    expect(Math.min(...depths)).toBeGreaterThanOrEqual(0.05);
    expect(Math.max(...depths)).toBeLessThanOrEqual(0.95);
    expect(Math.min(...depths)).toBeLessThan(0.1);
    expect(Math.max(...depths)).toBeGreaterThan(0.9);
  });
});

describe('a chat template', () => {
  const sample = make({ ...NUMBERS, lengths: [700], chat: true }, 1, 0, chatTokenizer);
  const text = textOf(sample.ids);

  test('deals question and answer out to turns', () => {
    expect(text).toMatch(/^<\|im_start\|>user\nSome special magic numbers are hidden/);
    expect(text).toMatch(
      /\nWhat is the special magic number for \S+ mentioned in the provided text\?<\|im_end\|>\n<\|im_start\|>assistant\nThe special magic/,
    );
    expect(text).toMatch(/ is \d{7}\.<\|im_end\|>\n$/);
    expect(text.match(/<\|im_start\|>user\n/g)).toHaveLength(5);
    expect(text).toMatch(/<\|im_start\|>user\nWhat is the special/);
  });

  test('is labelled from the first question on, the turns in between included', () => {
    const labelled = flaggedText(sample.ids, sample.labels);
    expect(labelled).toMatch(/^\nWhat is the special magic number/);
    expect(labelled.match(/<\|im_start\|>assistant/g)).toHaveLength(5);
    expect(flaggedText(sample.ids, sample.answer)).toMatch(/^( \d{7}){5}$/);
  });

  test('that the tokenizer lacks, or that changes messages, is refused', () => {
    expect(refusal(() => make({ chat: true }))).toBe('chat_template_missing');
    const odd = { ...tokenizer, chat: () => 'always this' };
    expect(refusal(() => make({ chat: true }, 1, 0, odd))).toBe('chat_template_odd');
  });
});

describe("the reference's data", () => {
  const FACTS = 3;
  const lengths = [1000, 1500, 2000];
  const samples = [0, 1, 2].map((index) => make({ mix: parseMix('reference'), facts: FACTS, words: 8, lengths }, 1, index));
  const ofLength = (contextTokens: number): Sample => samples.find(({ recipe }) => recipe.contextTokens === contextTokens) ?? make({});
  const head = tokenizer.encode('<|im_start|> This is a very long story book: <book> ', { specials: true }).length;
  const text = essay.text('training').stretch(tokenizer, 0, 2000).ids;

  /** Where each needle, a blank line and its "Remeber", starts. */
  function needlesOf({ ids }: Sample): number[] {
    const opening = tokenizer.encode('\n\nRemeber this');
    return [...ids.keys()].filter((index) => opening.every((id, offset) => ids[index + offset] === id));
  }

  test('count haystack tokens alone, up to the longest length less 300, and pad by 1 to 16 to a multiple of 16', () => {
    for (const { ids } of samples) expect(ids.length % 16).toBe(0);
    const script = ofLength(1000).ids.length - 1000;
    expect(Math.abs(ofLength(1500).ids.length - 1500 - script)).toBeLessThanOrEqual(15);
    expect(ofLength(2000).ids.length).toBeGreaterThan(1700);
    expect(ofLength(2000).ids.length).toBeLessThanOrEqual(1716);
  });

  test('put needles at the floor of haystack tokens times depth, from the first token of the text on', () => {
    const sample = ofLength(1000);
    const depths = [...sample.recipe.depths].sort((a, b) => a - b);
    const [first = 0, second = 0] = needlesOf(sample);
    expect(first).toBe(head + Math.floor(1000 * (depths[0] ?? 0)));
    expect(sample.ids.slice(head, first)).toEqual(text.slice(0, first - head));
    const between = Math.floor(1000 * (depths[1] ?? 0)) - Math.floor(1000 * (depths[0] ?? 0));
    expect(sample.ids.slice(second - between, second)).toEqual(text.slice(first - head, first - head + between));
    expect(new Set(depths).size).toBe(FACTS);
  });

  test('keep the typo, the chat mark and the space before the passkey', () => {
    const { ids, answer } = ofLength(1000);
    expect(textOf(ids)).toMatch(/Remeber this sequence of words, it's the first passkey to the vault: [a-z]+( [a-z]+){7}\n\n/);
    expect(flaggedText(ids, answer)).toMatch(/^[a-z]+( [a-z]+)+$/);
    expect(textOf(ids)).toMatch(/ <\/book>\.\n\nBased on[^]*\n\n$/);
  });

  test('that cannot hold the passkeys are refused', () => {
    expect(refusal(() => make({ mix: parseMix('reference'), facts: 10, words: 32, lengths: [1000] }))).toBe('sample_too_short');
  });
});

test("the golden calibration sample's question block is ours, token for token", () => {
  const file = readSafetensors(join(GOLDEN, 'duo-mini', 'golden_calibration.safetensors'));
  const read = (name: string): Int32Array => {
    const tensor = file.tensors.get(name);
    return tensor === undefined ? new Int32Array() : Int32Array.from(readTensor(file, tensor));
  };
  const [ids, label] = [read('one.ids'), read('one.label')];
  const text = textOf(ids);
  const needles = [...text.matchAll(/it's the (\w+) passkey to the vault: ([a-z ]+)\n\n/g)];
  const facts = needles.map(([, key = '', value = '']) => ({ key, value }));
  expect(facts).toHaveLength(10);
  const tokens = tokenizeScript(writeScript(loadTask('words'), facts, [...facts.keys()], 'move'), tokenizer, 'joined');
  const { ids: made, block } = assembleExact(tokens, { ids: new Int32Array(1024 - tokens.count), starts: [0] }, Array<number>(10).fill(0));
  expect(made).toHaveLength(ids.length);
  expect(Uint8Array.from(label)).toEqual(block);
  expect(made.filter((_, index) => block[index] === 1)).toEqual(ids.filter((_, index) => label[index] === 1));
  expect([...ids].slice(0, tokens.head.length)).toEqual(tokens.head);
});
