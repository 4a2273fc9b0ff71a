/** The synthetic haystack: seeded sentences about nothing, for when no text is at hand or none may be known to the model. */
import { Rng } from './rng.js';
import type { TextPart } from './haystack.js';
import { wordList } from './lists.js';

/** Sentences of each part: some 250,000 tokens. */
const SENTENCES = 20_000;

/** `_adjectives_` stands for a word of that list. */
const FRAMES = [
  'The _adjectives_ _nouns_ _verbs_ the _nouns_ _places_.',
  'Every _nouns_ _places_ _verbs_ a _adjectives_ _nouns_.',
  'Nobody knows why the _nouns_ _verbs_ the _adjectives_ _nouns_.',
  'When the _nouns_ is _adjectives_, the _nouns_ _verbs_ another _nouns_.',
  'A _nouns_ and a _adjectives_ _nouns_ were seen _places_.',
  'It was _adjectives_ _places_, and the _nouns_ was _adjectives_ too.',
];

const PARAGRAPH_SENTENCES = 6;

/** The text of one part; parts share words and frames but no stream of random numbers. */
export function syntheticText(part: TextPart): string {
  const rng = Rng.from('synthetic', part);
  const sentences = Array.from({ length: SENTENCES }, () => sentence(rng));
  return sentences.map((text, index) => (index === 0 ? '' : separator(index)) + text).join('');
}

function sentence(rng: Rng): string {
  return rng.choice(FRAMES).replaceAll(/_(\w+?)_/g, (_, list: string) => rng.choice(wordList(list)).replaceAll('_', ' '));
}

function separator(index: number): string {
  return index % PARAGRAPH_SENTENCES === 0 ? '\n\n' : ' ';
}
