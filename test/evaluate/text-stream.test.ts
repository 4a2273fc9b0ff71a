import { TextStream } from '../../src/evaluate/text-stream.js';

/** What is printed after each of the texts, and at the end. */
function print(texts: readonly string[], stop: readonly string[], final: string): string[] {
  const printed: string[] = [];
  const stream = new TextStream((text) => printed.push(text), stop);
  for (const text of texts) stream.update(text);
  stream.end(final);
  return printed;
}

test('a growing text is printed piece by piece', () => {
  expect(print(['a', 'a b', 'a b'], [], 'a b')).toEqual(['a', ' b']);
});

test('a half character waits for its other half', () => {
  expect(print(['na\uFFFD', 'naï', 'naïve'], [], 'naïve')).toEqual(['na', 'ï', 've']);
});

test('what may become a stop text waits, and is printed when it does not', () => {
  expect(print(['one\n', 'one\ntwo'], ['\n\n'], 'one\ntwo')).toEqual(['one', '\ntwo']);
});

test('a stop text is never printed, nor any part of it', () => {
  expect(print(['one\n', 'one'], ['\n\n'], 'one')).toEqual(['one']);
  expect(print(['one E', 'one EN', 'one '], ['END', 'EN!'], 'one ').join('')).toBe('one ');
});

test('a broken character at the very end is printed after all', () => {
  expect(print(['a\uFFFD'], [], 'a\uFFFD')).toEqual(['a', '\uFFFD']);
});
