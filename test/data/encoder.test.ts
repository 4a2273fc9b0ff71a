import { join } from 'node:path';
import { encodePiece, leadingIds, tokenizerFingerprint } from '../../src/data/encoder.js';
import { readTokenizer } from '../../src/model/tokenizer/read.js';
import { tokenizer } from '../helpers/duo-mini.js';
import { describeShared, SHARED } from '../helpers/paths.js';

const PIECES = ['This is <book>', ' A whale.', '\n\nRemember:', ' alpha zulu', '\n\n', 'Passkey:', ' 4821930', '.'];

test("duo-mini's pieces joined are the tokens of the joined text", () => {
  expect(PIECES.flatMap((piece) => encodePiece(tokenizer, piece))).toEqual(tokenizer.encode(PIECES.join('')));
  expect(leadingIds(tokenizer)).toEqual([0]);
  expect(encodePiece(tokenizer, '')).toEqual([]);
});

test('a tokenizer without special tokens in front leads with nothing', () => {
  expect(leadingIds({ ...tokenizer, encode: (text) => tokenizer.encode(text) })).toEqual([]);
});

test('fingerprints tell tokenizers apart', () => {
  const other = { ...tokenizer, encode: (text: string) => tokenizer.encode(text) };
  expect(tokenizerFingerprint(tokenizer)).toBe(tokenizerFingerprint({ ...tokenizer }));
  expect(tokenizerFingerprint(other)).not.toBe(tokenizerFingerprint(tokenizer));
});

describeShared('tokenizers of other models', () => {
  const load = (name: string): ReturnType<typeof readTokenizer> => readTokenizer(join(SHARED, 'golden', name), 288);

  test('one that puts a space before a text puts none before a piece', () => {
    const spacing = load('llama-mha');
    expect(spacing.decode(spacing.encode('x')).trim()).toBe('x');
    const joined = [...spacing.encode(PIECES[0] ?? ''), ...PIECES.slice(1).flatMap((piece) => encodePiece(spacing, piece))];
    expect(joined).toEqual(spacing.encode(PIECES.join('')));
    // What it does without care: a space more for every piece.
    expect(encodePiece(spacing, 'Passkey:', 'plain')).not.toEqual(encodePiece(spacing, 'Passkey:'));
  });

  test.each(['llama-gqa', 'qwen3'])('pieces joined read as the whole with the tokenizer of %s', (name) => {
    const other = load(name);
    const joined = PIECES.flatMap((piece) => encodePiece(other, piece));
    expect(other.decode(joined)).toBe(PIECES.join(''));
  });
});
