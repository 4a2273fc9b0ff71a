import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { InputError } from '../../../src/errors.js';
import { hasGgufTokenizer, tokenizerFromGguf } from '../../../src/model/tokenizer/from-gguf.js';
import type { GgufValue } from '../../../src/model/gguf/read.js';
import { readGguf } from '../../../src/model/gguf/read.js';
import type { Tokenizer } from '../../../src/model/model.js';
import { actualCases, readGoldenTokenizer } from '../../helpers/golden-tokenizer.js';
import { describeShared, SHARED } from '../../helpers/paths.js';

type Keys = Readonly<Record<string, GgufValue | undefined>>;

/** Keys without `tokenizer.ggml.`; undefined for none. */
function make(keys: Keys, vocab = (keys['tokens'] as readonly string[]).length): Tokenizer {
  const entries = Object.entries(keys).filter((entry): entry is [string, GgufValue] => entry[1] !== undefined);
  const metadata = new Map(entries.map(([name, value]) => [name.includes('.') ? name : `tokenizer.ggml.${name}`, value]));
  return tokenizerFromGguf(metadata, vocab, 'model.gguf');
}

const BYTE_LEVEL: Keys = {
  model: 'gpt2',
  pre: 'gpt-2',
  tokens: ['<s>', '</s>', '<think>', 'a', 'b', 'ab', 'Ġ', '1', '2', '12', '[PAD0]', 'é', 'Ģ', 'Ã', '©'],
  token_type: [3, 3, 4, 1, 1, 1, 1, 1, 1, 1, 5, 1, 1, 1, 1],
  merges: ['a b', '1 2'],
  bos_token_id: 0,
  eos_token_id: 1,
};

const BYTES = Array.from({ length: 256 }, (_, byte) => `<0x${byte.toString(16).toUpperCase().padStart(2, '0')}>`);
const PIECES = ['▁', 'a', 'b', 'c', 'ab', 'bc', '▁a', 'né', '▁▁', '<user>'];
const SENTENCE_PIECE: Keys = {
  model: 'llama',
  tokens: ['<unk>', '<s>', '</s>', ...BYTES, ...PIECES],
  token_type: [2, 3, 3, ...BYTES.map(() => 6), ...PIECES.map((text) => (text === '<user>' ? 4 : 1))],
  scores: [0, 0, 0, ...BYTES.map(() => 0), -9, -9, -9, -9, -1, -1, -2, -3, -4, 0],
  bos_token_id: 1,
  eos_token_id: 2,
  unknown_token_id: 0,
};
const piece = (text: string): number => 259 + PIECES.indexOf(text);

describe('a byte-level tokenizer of a GGUF file', () => {
  const tokenizer = make(BYTE_LEVEL);

  test('merges bytes, and finds control and user-defined tokens in the text', () => {
    expect(tokenizer.encode('ab ab<think>b')).toEqual([5, 6, 5, 2, 4]);
    expect(tokenizer.decode([0, 5, 6, 5, 2])).toBe('<s>ab ab<think>');
  });

  test('leaves out control tokens but not user-defined ones when asked, and tokens that only fill up always', () => {
    expect(tokenizer.decode([0, 5, 10, 2], { skipSpecials: true })).toBe('ab<think>');
  });

  test.each([
    ['neither, as the key is missing', {}, [5]],
    ['BOS', { add_bos_token: true }, [0, 5]],
    ['EOS', { add_eos_token: true }, [5, 1]],
    ['both', { add_bos_token: true, add_eos_token: true }, [0, 5, 1]],
    ['BOS, which llama-bpe adds without the key', { pre: 'llama-bpe' }, [0, 5]],
    ['none, where llama-bpe is told not to', { pre: 'llama-bpe', add_bos_token: false }, [5]],
  ])('adds %s', (_title, keys, ids) => {
    expect(make({ ...BYTE_LEVEL, ...keys }).encode('ab', { specials: true })).toEqual(ids);
  });

  test.each([
    ['gpt-2', [9]],
    ['phi-2', [9]],
    ['dbrx', [9]],
    ['smaug-bpe', [9]],
    ['llama-bpe', [9]],
    ['gpt-4o', [9]],
    ['default', [9]],
    ['qwen2', [7, 8]],
    ['deepseek-r1-qwen', [7, 8]],
    ['tekken', [7, 8]],
    ['smollm', [7, 8]],
    ['starcoder', [7, 8]],
    ['refact', [7, 8]],
  ])('splits digits as %s does', (pre, ids) => {
    expect(make({ ...BYTE_LEVEL, pre }).encode('12')).toEqual(ids);
  });

  test('composes characters first where the name implies it', () => {
    expect(make({ ...BYTE_LEVEL, pre: 'qwen2' }).encode('e\u0301')).toEqual([13, 14]);
  });

  test('renders the chat template with the special tokens of the file', () => {
    const text = '{{ bos_token }}{% for m in messages %}{{ m.content }}{{ eos_token }}{% endfor %}{{ pad_token }}';
    const withTemplate = make({ ...BYTE_LEVEL, 'tokenizer.chat_template': text, 'tokenizer.chat_template.rag': 'no' });
    expect(withTemplate.chat([{ role: 'user', content: 'hi' }])).toBe('<s>hi</s>');
    expect(tokenizer.chat([])).toBeUndefined();
  });
});

describe('a SentencePiece-style tokenizer of a GGUF file', () => {
  const tokenizer = make(SENTENCE_PIECE);

  test.each([
    ['joins the best score first', 'ab', [piece('▁'), piece('ab')]],
    ['and of equal scores the leftmost', 'abc', [piece('▁'), piece('ab'), piece('c')]],
    ['a worse score when nothing better is there', 'a', [piece('▁a')]],
    ['joins characters that are no tokens themselves', 'né', [piece('▁'), piece('né')]],
    ['writes what is no token as its bytes', 'é', [piece('▁'), 3 + 0xc3, 3 + 0xa9]],
    ['puts the space before each text between special tokens', 'b<s>b', [piece('▁'), piece('b'), 1, piece('▁'), piece('b')]],
    ['finds user-defined tokens as they are written', '<user>a', [piece('<user>'), piece('▁a')]],
    ['reads spaces as marks', '  b', [piece('▁▁'), piece('▁'), piece('b')]],
  ])('%s', (_title, text, ids) => {
    expect(tokenizer.encode(text)).toEqual(ids);
  });

  test('adds BOS unless told otherwise', () => {
    expect(tokenizer.encode('b', { specials: true })).toEqual([1, piece('▁'), piece('b')]);
    expect(make({ ...SENTENCE_PIECE, add_bos_token: false }).encode('b', { specials: true })).toEqual([piece('▁'), piece('b')]);
  });

  test('decodes without the space that it put before the text', () => {
    expect(tokenizer.decode([piece('▁a'), piece('▁a'), 3 + 0xc3, 3 + 0xa9])).toBe('a aé');
    const bare = make({ ...SENTENCE_PIECE, add_space_prefix: false });
    expect(bare.encode('ab')).toEqual([piece('ab')]);
    expect(bare.decode([piece('▁a')])).toBe(' a');
  });
});

describe('tokenizerFromGguf', () => {
  test.each([
    ['an unknown model', { model: 'telepathy' }, 'unsupported tokenizer.ggml.model "telepathy"'],
    ['the name of a method as a model', { model: 'constructor' }, 'unsupported tokenizer.ggml.model "constructor"'],
    ['an unknown way to split', { pre: 'guesswork' }, 'unsupported tokenizer.ggml.pre "guesswork"'],
    ['no way to split', { pre: undefined }, 'tokenizer.ggml.pre is missing'],
    ['no tokens', { tokens: undefined }, 'tokenizer.ggml.tokens is missing'],
    ['fewer tokens than rows', { tokens: ['a', 'b', 'c'] }, 'tokenizer.ggml.tokens has 3 entries, token_embd.weight has 15 rows'],
    ['token types of another number', { token_type: [1, 1] }, 'tokenizer.ggml.token_type has 2 entries, tokens has 15'],
    ['BOS outside the vocabulary', { bos_token_id: 999 }, 'tokenizer.ggml.bos_token_id 999 is outside the vocabulary of 15'],
    ['a negative EOS', { eos_token_id: -1 }, 'tokenizer.ggml.eos_token_id -1 is outside'],
    ['an id of 64 bits', { eos_token_id: 2n ** 63n }, 'tokenizer.ggml.eos_token_id 9223372036854775808 is outside'],
    ['an id that is a text', { bos_token_id: 'a' }, 'tokenizer.ggml.bos_token_id is the text "a"'],
    ['a token that is a number', { tokens: [...Array<string>(14).fill('a'), 7] }, 'tokenizer.ggml.tokens[14] is 7'],
    ['a token twice', { tokens: Array<string>(15).fill('a') }, 'entries 0 and 1 are both "a"'],
    ['a merge of unknown tokens', { merges: ['a z'] }, '"z" is not in the vocabulary'],
    ['a merge that is no pair', { merges: ['abc'] }, 'merge 0 ("abc") is not a pair'],
    ['no merges', { merges: undefined }, 'tokenizer.ggml.merges is missing'],
    ['BOS wanted but unknown', { add_bos_token: true, bos_token_id: undefined }, 'there is no tokenizer.ggml.bos_token_id'],
    ['a flag that is a number', { add_bos_token: 1 }, 'tokenizer.ggml.add_bos_token is 1'],
    ['a chat template that is a number', { 'tokenizer.chat_template': 1 }, 'tokenizer.chat_template is not a text'],
  ] as [string, Keys, string][])('refuses %s', (_title, keys, message) => {
    const body = (): unknown => make({ ...BYTE_LEVEL, ...keys }, 15);
    expect(body).toThrow(InputError);
    expect(body).toThrow(message);
  });

  test.each([
    ['no scores', { scores: undefined }, 'tokenizer.ggml.scores is missing'],
    ['a score that is no number', { scores: [NaN, ...Array<number>(268).fill(0)] }, 'tokenizer.ggml.scores[0] is NaN'],
    [
      'tokens without end',
      { tokens: ['x'.repeat(20_000), ...Array.from({ length: 268 }, (_, i) => `t${i}`)], token_type: undefined },
      'longer tokens',
    ],
  ] as [string, Keys, string][])('refuses SentencePiece pieces with %s', (_title, keys, message) => {
    expect(() => make({ ...SENTENCE_PIECE, ...keys }, 269)).toThrow(message);
  });

  test.each([
    ['none', { model: 'none' }],
    ['no keys', {}],
  ])('says only when used that a file has no tokenizer: %s', (_title, keys) => {
    const tokenizer = make(keys, 10);
    expect(() => tokenizer.encode('a')).toThrow('the GGUF file has no tokenizer');
    expect(hasGgufTokenizer(new Map())).toBe(false);
  });
});

describeShared('the golden GGUF files', () => {
  const folder = join(SHARED, 'golden', 'gguf');
  const files = existsSync(folder) ? readdirSync(folder).filter((name) => name.endsWith('.gguf')) : [];
  /** llama-k has the tokenizer of llama-gqa. */
  const caseOf = (file: string): string => (file.startsWith('llama-k-') ? 'llama-gqa' : file.replace(/-[^-]*$/, ''));
  const golden = (file: string): string => join(SHARED, 'golden', caseOf(file), 'tokenizer-golden.json');
  const open = (file: string): Tokenizer => {
    const { metadata, tensors, path } = readGguf(join(folder, file));
    return tokenizerFromGguf(metadata, tensors.get('token_embd.weight')?.shape[0] ?? 0, path);
  };

  test.each(files.filter((file) => existsSync(golden(file))))('%s: every case is exact', (file) => {
    const expected = readGoldenTokenizer(golden(file));
    expect(actualCases(open(file), expected)).toEqual(expected);
  });

  test.each(files.filter((file) => !existsSync(golden(file))))('%s: has no tokenizer', (file) => {
    expect(() => open(file).encode('a')).toThrow('the GGUF file has no tokenizer');
  });
});
