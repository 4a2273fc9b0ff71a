import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { openHaystack } from '../../src/data/haystack.js';
import type { TextPart } from '../../src/data/haystack.js';
import { sentenceStarts } from '../../src/data/sentences.js';
import { InputError } from '../../src/errors.js';
import type { Warning } from '../../src/errors.js';
import { textOf, tokenizer } from '../helpers/duo-mini.js';
import { refusal } from '../helpers/refusal.js';
import { temporaryFolder } from '../helpers/temporary.js';

const PARTS: readonly TextPart[] = ['training', 'validation', 'evaluation'];

const folder = temporaryFolder();

function write(name: string, content: string | Uint8Array): string {
  const path = join(folder, name);
  writeFileSync(path, content);
  return path;
}

function sentencesOf(text: string): string[] {
  const starts = sentenceStarts(text);
  return starts.map((start, index) => text.slice(start, starts[index + 1]).trim());
}

const PROSE = Array.from({ length: 40 }, (_, index) => `Sentence number ${index} is here.`);

describe('the essay', () => {
  const essay = openHaystack('essay');

  test('holds the documents of the model card in the part that is evaluated', () => {
    const { text } = essay.text('evaluation');
    expect(text).toContain('CHAPTER 96. The Try-Works.');
    expect(text).toContain('CHAPTER 105.');
    expect(text).not.toContain('CHAPTER 95.');
    expect(text).not.toContain('Call me Ishmael.');
    expect(essay.text('training').text).toContain('Call me Ishmael.');
    expect(essay.text('training').text).not.toContain('CHAPTER 96. The Try-Works.');
  });

  test('shares no sentence of 60 characters between what is evaluated and what gates are fitted or checked on', () => {
    const evaluated = new Set(sentencesOf(essay.text('evaluation').text).filter(({ length }) => length >= 60));
    const seen = [...sentencesOf(essay.text('training').text), ...sentencesOf(essay.text('validation').text)];
    expect(evaluated.size).toBeGreaterThan(2000);
    expect(seen.filter((sentence) => evaluated.has(sentence))).toEqual([]);
  });

  test('has plain quotes, paragraphs, and no runs of white space', () => {
    for (const part of PARTS) {
      const { text } = essay.text(part);
      expect(text).not.toMatch(/[“”‘’\t\r]| {2}| \n|\n\n\n/);
      expect(Math.max(...text.split('\n\n').map(({ length }) => length))).toBeLessThan(20_000);
    }
  });
});

describe('the synthetic text', () => {
  test('is the same every time and another in every part', () => {
    const texts = PARTS.map((part) => openHaystack('synthetic').text(part).text);
    expect(texts).toEqual(PARTS.map((part) => openHaystack('synthetic').text(part).text));
    expect(new Set(texts).size).toBe(3);
    expect(texts[0]).not.toMatch(/[_{}]/);
  });
});

describe('a stretch', () => {
  const text = openHaystack('essay').text('evaluation');

  test.each([1, 7, 512, 3000])('has exactly %i tokens, those of the text itself, with its sentence starts', (count) => {
    const { ids, starts } = text.stretch(tokenizer, 100, count);
    expect(ids).toHaveLength(count);
    const found = textOf(ids);
    // A cut inside a character of several bytes would end in U+FFFD.
    expect(text.text).toContain(found.replace(/\uFFFD+$/, ''));
    expect(tokenizer.encode(found).slice(0, count - 4)).toEqual([...ids].slice(0, count - 4));
    expect(starts[0]).toBe(0);
    const seams = starts.slice(1).map((start) => `${textOf(ids.slice(0, start))}|${textOf(ids.slice(start))}`);
    for (const seam of seams) expect(seam).toMatch(/[.!?]["')\]]*\|\s|\|\n\n/);
    expect(seams.length).toBeGreaterThanOrEqual(Math.floor(count / 200));
  });

  test('goes on from the start at the end of the text, and warns once when the text comes twice', () => {
    const warnings: Warning[] = [];
    const file = openHaystack(write('short.txt', PROSE.join(' ')), (warning) => warnings.push(warning));
    const evaluated = file.text('evaluation');
    const all = tokenizer.encode(evaluated.text).length;
    evaluated.stretch(tokenizer, 2, all);
    expect(warnings).toEqual([]);
    const { ids } = evaluated.stretch(tokenizer, 2, 3 * all);
    evaluated.stretch(tokenizer, 2, 3 * all);
    expect(ids).toHaveLength(3 * all);
    expect(warnings.map(({ code }) => code)).toEqual(['haystack_repeats']);
  });
});

test('a tokenizer that makes no tokens of the text is refused', () => {
  const mute = { ...tokenizer, encode: () => [] };
  expect(refusal(() => openHaystack('synthetic').text('training').stretch(mute, 0, 10))).toBe('haystack_tokens');
});

describe("a user's file", () => {
  const records = PROSE.map((text, id) => JSON.stringify({ id, text })).join('\n');

  test.each([
    ['txt', PROSE.join(' ')],
    ['md', `# Title\r\n\r\n${PROSE.join('\r\n\r\n')}`],
    ['jsonl', `${records}\n\n`],
    ['txt.gz', gzipSync(PROSE.join(' '))],
    ['md.gz', gzipSync(PROSE.join('\n\n'))],
    ['jsonl.gz', gzipSync(records)],
  ])('%s is read, and its parts make up the whole without overlap', (ending, content) => {
    const haystack = openHaystack(write(`kind.${ending}`, content));
    const [training = '', validation = '', evaluation = ''] = PARTS.map((part) => haystack.text(part).text);
    expect((training + validation + evaluation).match(/number \d+/g)).toEqual(PROSE.map((_, index) => `number ${index}`));
    expect(training).not.toContain('\r');
    expect(evaluation).toMatch(/^\s*Sentence number 3[56] /);
  });

  test.each([
    ['of an unknown kind', 'x.pdf', 'text', 'haystack_unknown'],
    ['that is empty', 'empty.txt', ' \n ', 'haystack_empty'],
    ['that is not UTF-8', 'latin.txt', Uint8Array.of(0x63, 0x61, 0x66, 0xe9), 'haystack_encoding'],
    ['with a broken record', 'bad.jsonl', '{"text": "one"}\n{"text": 2}', 'haystack_record'],
    ['that only pretends to be gzip', 'bad.txt.gz', 'not gzip', 'haystack_damaged'],
    ['cut short', 'cut.txt.gz', gzipSync(PROSE.join(' ')).subarray(0, 60), 'haystack_damaged'],
    ['that unpacks beyond the bound', 'bomb.txt.gz', gzipSync(new Uint8Array(65 * 2 ** 20)), 'haystack_too_large'],
    ['of a few sentences', 'few.txt', 'One. Two. Three.', 'haystack_short'],
  ])('one %s is refused', (_, name, content, code) => {
    expect(refusal(() => openHaystack(write(name, content)))).toBe(code);
  });

  test('a missing file and a folder are refused', () => {
    expect(() => openHaystack(join(folder, 'missing.txt'))).toThrow(InputError);
    expect(() => openHaystack(folder)).toThrow(InputError);
    expect(refusal(() => openHaystack('esay'))).toBe('haystack_unknown');
  });

  test('the line of a broken record is named', () => {
    expect(() => openHaystack(write('line.jsonl', `${records}\n{"body": "x"}`))).toThrow(/line 41/);
  });
});
