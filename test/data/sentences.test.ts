import { sentenceStarts } from '../../src/data/sentences.js';

function sentences(text: string): string[] {
  const starts = sentenceStarts(text);
  return starts.map((start, index) => text.slice(start, starts[index + 1]));
}

test.each([
  ['full stops, question and exclamation marks', 'One. Two? Three! Four', ['One.', ' Two?', ' Three!', ' Four']],
  ['quotes and brackets after the mark', '"One." (Two.) Three', ['"One."', ' (Two.)', ' Three']],
  ['no end before a lower-case word', 'He said stop. and went. On', ['He said stop. and went.', ' On']],
  ['blank lines, which the next sentence keeps', 'A title\n\nSome text. More', ['A title', '\n\nSome text.', ' More']],
  ['no end at a single line break', 'a line\nanother line', ['a line\nanother line']],
  ['decimal numbers stay whole', 'It is 3.5 m. Yes', ['It is 3.5 m.', ' Yes']],
  ['CJK full stops without white space', '東京。大阪！京都', ['東京。', '大阪！', '京都']],
])('a text is split at %s', (_, text, expected) => {
  expect(sentences(text)).toEqual(expected);
});

test('an overlong run is broken at white space, and never inside a code point', () => {
  const words = sentences('word '.repeat(1000));
  expect(Math.max(...words.map(({ length }) => length))).toBeLessThanOrEqual(2000);
  expect(words.slice(1).every((part) => part.startsWith(' '))).toBe(true);
  const rockets = sentences(`x${'🚀'.repeat(2500)}`);
  expect(rockets.length).toBeGreaterThan(2);
  expect(rockets.every((part) => !/^[\uDC00-\uDFFF]|[\uD800-\uDBFF]$/.test(part))).toBe(true);
});

test.each(['', 'x', '\n\n\n', ' . . . ', 'a.\r\n\r\nB. C', 'x'.repeat(9999)])('sentences joined give back %j', (text) => {
  expect(sentences(text).join('')).toBe(text);
});
