import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import { InputError } from '../../../src/errors.js';
import { readConfig } from '../../../src/model/read-config.js';
import type { Tokenizer } from '../../../src/model/model.js';
import { readTokenizer } from '../../../src/model/tokenizer/read.js';
import { writeFolder } from '../../helpers/checkpoints.js';
import { actualCases, readGoldenTokenizer } from '../../helpers/golden-tokenizer.js';
import { describeShared, DUO_MINI, GOLDEN, SHARED } from '../../helpers/paths.js';
import { temporaryFolder } from '../../helpers/temporary.js';

const root = temporaryFolder();

const read = (path: string): unknown => JSON.parse(readFileSync(path, 'utf8'));
const ids = z.array(z.number());

describe("duo-mini's tokenizer", () => {
  const tokenizer = readTokenizer(DUO_MINI, 1280);
  const cases = z
    .array(z.object({ text: z.string(), ids, with_bos: ids, decoded: z.string() }))
    .parse(read(join(GOLDEN, 'duo-mini', 'golden_tokenizer.json')));

  test.each(cases)('gives the golden ids and text of $text', (golden) => {
    expect(tokenizer.encode(golden.text)).toEqual(golden.ids);
    expect(tokenizer.encode(golden.text, { specials: true })).toEqual(golden.with_bos);
    expect(tokenizer.decode(golden.ids)).toBe(golden.decoded);
  });

  test('leaves special tokens out when asked', () => {
    expect(tokenizer.decode(tokenizer.encode('a whale<|eos|>', { specials: true }), { skipSpecials: true })).toBe('a whale');
  });

  test('decodes nothing to nothing, and an id that is no token likewise', () => {
    expect(tokenizer.decode([])).toBe('');
    expect(tokenizer.decode([1_000_000])).toBe('');
  });

  test('has no chat template', () => {
    expect(tokenizer.chat([{ role: 'user', content: 'hello' }])).toBeUndefined();
  });
});

/** A byte-fallback tokenizer whose ids 3..258 are the bytes 0..255. */
function byteFolder(settings: Readonly<Record<string, object | string>> = {}): string {
  const bytes = Array.from({ length: 256 }, (_, byte) => [`<0x${byte.toString(16).toUpperCase().padStart(2, '0')}>`, byte + 3] as const);
  return writeFolder(join(root, `t${folders++}`), {
    'tokenizer.json': {
      added_tokens: [{ id: 1, content: '<s>', special: true }],
      model: {
        type: 'BPE',
        unk_token: '<unk>',
        byte_fallback: true,
        vocab: { '<unk>': 0, '<s>': 1, a: 2, ...Object.fromEntries(bytes) },
        merges: [],
      },
      decoder: { type: 'Sequence', decoders: [{ type: 'ByteFallback' }, { type: 'Fuse' }] },
    },
    ...settings,
  });
}
let folders = 0;

const chatTemplate =
  '{% for m in messages %}{{ bos_token }}{{ m.role }}: {{ m.content }}\n{% endfor %}{% if add_generation_prompt %}assistant:{% endif %}';

describe('readTokenizer', () => {
  test.each([
    ['a whole character', [0xc3, 0xa9], 'é'],
    ['a byte order mark, which is text', [0xef, 0xbb, 0xbf], '\ufeff'],
    ['a character cut short: one U+FFFD per byte', [0xe6, 0x9d], '\ufffd\ufffd'],
    ['a run that is invalid anywhere: one U+FFFD per byte of it all', [0xc3, 0xa9, 0xff], '\ufffd\ufffd\ufffd'],
  ])('decodes byte tokens: %s', (_title, bytes, text) => {
    const tokenizer = readTokenizer(byteFolder(), 300);
    expect(tokenizer.decode([2, ...bytes.map((byte) => byte + 3), 2])).toBe(`a${text}a`);
  });

  test('refuses a token that the model has no row for', () => {
    const folder = byteFolder();
    const outside = z.looseObject({}).parse(read(join(folder, 'tokenizer.json')));
    writeFolder(folder, { 'tokenizer.json': { ...outside, added_tokens: [{ id: 400, content: '<pad>', special: true }] } });
    const tokenizer = readTokenizer(folder, 300);
    expect(tokenizer.encode('a')).toEqual([2]);
    expect(() => tokenizer.encode('a<pad>')).toThrow(`token "<pad>" has id 400, outside the model's vocab_size 300`);
    expect(() => readTokenizer(byteFolder(), 200)).toThrow(/outside the model's vocab_size 200/);
  });

  test('says only when used that there is no tokenizer.json', () => {
    const tokenizer = readTokenizer(writeFolder(join(root, 'none'), {}), 300);
    expect(() => tokenizer.encode('a')).toThrow(InputError);
  });

  test.each([
    ['in tokenizer_config.json', { 'tokenizer_config.json': { bos_token: { content: '<s>' }, chat_template: chatTemplate } }],
    [
      'the default of several',
      {
        'tokenizer_config.json': {
          bos_token: '<s>',
          chat_template: [
            { name: 'tools', template: 'no' },
            { name: 'default', template: chatTemplate },
          ],
        },
      },
    ],
    ['in a file of its own', { 'tokenizer_config.json': { bos_token: '<s>', chat_template: 'old' }, 'chat_template.jinja': chatTemplate }],
  ])('renders the chat template: %s', (_title, files) => {
    const tokenizer = readTokenizer(byteFolder(files), 300);
    expect(tokenizer.chat([{ role: 'user', content: 'hi' }], { addGenerationPrompt: true })).toBe('<s>user: hi\nassistant:');
  });

  test('says what a chat template refuses', () => {
    const tokenizer = readTokenizer(
      byteFolder({ 'tokenizer_config.json': { chat_template: "{{ raise_exception('no system message') }}" } }),
      300,
    );
    expect(() => tokenizer.chat([])).toThrow(/no system message/);
  });
});

/** A tokenizer.json of a few tokens, with these changes; those of the model in `model`. */
function refused(changes: Readonly<Record<string, unknown>>, model: Readonly<Record<string, unknown>> = {}): () => Tokenizer {
  const vocab = { a: 0, b: 1, ab: 2, '<s>': 3 };
  const folder = writeFolder(join(root, `t${folders++}`), {
    'tokenizer.json': { model: { type: 'BPE', vocab, merges: ['a b'], ...model }, ...changes },
  });
  return () => readTokenizer(folder, 10);
}

const added = (token: object): object => ({ added_tokens: [{ id: 3, content: '<s>', ...token }] });
const template = (single: unknown, specials: unknown = {}): object => ({
  post_processor: { type: 'TemplateProcessing', single, special_tokens: specials },
});

describe('a tokenizer.json is refused', () => {
  test.each<[string, object, object, string]>([
    ['without a model', { model: null }, {}, 'it has no model'],
    ['of another model', {}, { type: 'Unigram' }, 'unsupported tokenizer model "Unigram"'],
    ['with an unknown normalizer', { normalizer: { type: 'Telepathy' } }, {}, 'unsupported normalizer "Telepathy"'],
    [
      'with an approximation',
      { normalizer: { type: 'Precompiled', precompiled_charsmap: '' } },
      {},
      'unsupported normalizer "Precompiled"',
    ],
    ['with an unknown pre-tokenizer', { pre_tokenizer: { type: 'Telepathy' } }, {}, 'unsupported pre_tokenizer "Telepathy"'],
    [
      'with an unknown part in a sequence',
      { pre_tokenizer: { type: 'Sequence', pretokenizers: [{ type: 'Digits', individual_digits: true }, { type: 'Telepathy' }] } },
      {},
      'unsupported pre_tokenizer "Telepathy"',
    ],
    ['with an empty part in a sequence', { decoder: { type: 'Sequence', decoders: [null] } }, {}, 'a Sequence holds an empty part'],
    ['with a sequence of nothing', { decoder: { type: 'Sequence' } }, {}, 'must have a list of decoders'],
    ['with an unknown post-processor', { post_processor: { type: 'Telepathy' } }, {}, 'unsupported post_processor "Telepathy"'],
    ['with an unknown decoder', { decoder: { type: 'Telepathy' } }, {}, 'unsupported decoder "Telepathy"'],
    ['with the name of a method as a part', { decoder: { type: 'constructor' } }, {}, 'unsupported decoder "constructor"'],
    ['with a part that is a text', { decoder: 'ByteLevel' }, {}, 'decoder must be an object with a type'],
    ['with a part that lacks something', { pre_tokenizer: { type: 'Split', behavior: 'Isolated' } }, {}, 'pre_tokenizer Split: pattern'],
    [
      'with a part that does something else',
      { pre_tokenizer: { type: 'Split', pattern: { String: 'a' }, behavior: 'Sung' } },
      {},
      'behavior',
    ],
    [
      'with a regular expression that is none',
      { pre_tokenizer: { type: 'Split', pattern: { Regex: '(' }, behavior: 'Isolated' } },
      {},
      'not supported: Invalid regular expression',
    ],
    ['with dropout', {}, { dropout: 0.1 }, 'model.dropout 0.1 would make ids random'],
    ['with a prefix of words', {}, { continuing_subword_prefix: '##' }, 'continuing_subword_prefix'],
    ['with a suffix of words', {}, { end_of_word_suffix: '</w>' }, 'end_of_word_suffix'],
    ['with an unknown token that is unknown', {}, { unk_token: '<unk>' }, 'unk_token "<unk>" is not in the vocabulary'],
    ['with an id twice', {}, { vocab: { a: 0, b: 0 } }, 'tokens "a" and "b" have the same id 0'],
    ['with an id outside the model', {}, { vocab: { a: 10 } }, 'token "a" has id 10, outside the model\'s vocab_size 10'],
    ['with a negative id', {}, { vocab: { a: -1 } }, 'token "a" must have an id from 0'],
    ['with an id that is a text', {}, { vocab: { a: '1' } }, 'got the text "1"'],
    ['with a list for a vocabulary', {}, { vocab: [['a', 0]] }, 'model.vocab must be an object'],
    ['with a merge that is no pair', {}, { merges: ['abc'] }, 'merge 0 ("abc") is not a pair'],
    ['with a merge of a number', {}, { merges: [['a', 1]] }, 'merge 0 (a list of 2) is not a pair'],
    ['with a merge into no token', {}, { merges: ['b a'] }, 'merge 0 ("b a"): "ba" is not in the vocabulary'],
    ['with more merges than tokens can have', {}, { merges: Array<string>(65).fill('a b') }, '65 merges are too many for 4 tokens'],
    ['with an added token of another id', added({ id: 4 }), {}, 'added token "<s>" has id 4, but also 3'],
    ['with an added token of the id of another', added({ id: 0, content: '<p>' }), {}, 'added token "<p>" has id 0, which is that of "a"'],
    ['with an added token that must stand alone', added({ single_word: true }), {}, 'single_word is not supported'],
    ['with too many added tokens', { added_tokens: Array<object>(65_537).fill({ id: 3, content: '<s>' }) }, {}, 'added_tokens'],
    ['with an added token of no id', { added_tokens: [{ content: '<s>' }] }, {}, 'added_tokens.0.id'],
    ['with an added token without end', added({ content: 'x'.repeat(2000) }), {}, 'added_tokens.0.content'],
    ['with a template of something else', template('A'), {}, 'post_processor TemplateProcessing: single'],
    ['with a template of an unknown token', template([{ SpecialToken: { id: '<t>' } }]), {}, '"<t>" stands for ids undefined'],
    [
      'with a template of a token of another id',
      template([{ SpecialToken: { id: '<s>' } }], { '<s>': { ids: [1] } }),
      {},
      '"<s>" stands for ids [1], but is token 3',
    ],
  ])('%s', (_title, changes, model, message) => {
    const read = refused({ ...changes }, { ...model });
    expect(read).toThrow(InputError);
    expect(read).toThrow(message);
  });
});

test('names of methods and of prototypes are tokens like any other', () => {
  const names = ['__proto__', 'constructor', 'toString', 'hasOwnProperty'];
  const letters = [...new Set(names.join(''))];
  const pairs = Object.fromEntries(letters.map((letter, index) => [letter, index]));
  const text = JSON.stringify({
    added_tokens: names.map((content, index) => ({ id: letters.length + index, content, special: index % 2 === 0 })),
    model: { type: 'BPE', vocab: pairs, merges: [] },
  });
  const folder = writeFolder(join(root, 'names'), { 'tokenizer.json': text.replace('"vocab":{', '"vocab":{"__proto__":99,') });
  expect(() => readTokenizer(folder, 100)).toThrow('added token "__proto__" has id');
  const tokenizer = readTokenizer(writeFolder(join(root, 'names2'), { 'tokenizer.json': text }), 100);
  const ids = names.map((_name, index) => letters.length + index);
  expect(tokenizer.encode(names.join(''))).toEqual(ids);
  expect(tokenizer.decode(ids, { skipSpecials: true }).replaceAll(' ', '')).toBe('constructorhasOwnProperty');
});

const ENDLESS = '(a+)+$';
const HARMLESS = '[ab]';

describe('a regular expression of a tokenizer.json', () => {
  const TEXT = `${'a'.repeat(40)}b`;
  const model = { byte_fallback: false };

  test.each([
    ['pre-tokenizer', (Regex: string) => ({ pre_tokenizer: { type: 'Split', pattern: { Regex }, behavior: 'Isolated' } })],
    ['normalizer', (Regex: string) => ({ normalizer: { type: 'Replace', pattern: { Regex }, content: 'a' } })],
  ])('is stopped when it backtracks without end: %s', (_title, part) => {
    expect(() => refused(part(ENDLESS), model)().encode(TEXT)).toThrow(/regular expression of the tokenizer backtracks without end/);
    expect(refused(part(HARMLESS), model)().encode(TEXT)).not.toEqual([]);
  });

  test('is stopped in a decoder', () => {
    const decoder = (Regex: string) => ({
      decoder: { type: 'Sequence', decoders: [{ type: 'Fuse' }, { type: 'Replace', pattern: { Regex }, content: '' }] },
    });
    const ids = [...Array<number>(40).fill(0), 1];
    expect(() => refused(decoder(ENDLESS))().decode(ids)).toThrow(InputError);
    expect(refused(decoder('b'))().decode(ids)).toBe('a'.repeat(40));
  });
});

describeShared('the golden tokenizers', () => {
  const base = join(SHARED, 'golden');
  const folder = existsSync(base) ? readdirSync(base).filter((name) => existsSync(join(base, name, 'tokenizer-golden.json'))) : [];

  test.each(folder)('%s: every case is exact', (name) => {
    const path = join(base, name);
    const golden = readGoldenTokenizer(join(path, 'tokenizer-golden.json'));
    expect(actualCases(readTokenizer(path, readConfig(path).config.vocab), golden)).toEqual(golden);
  });

  test('are at least the four that are known', () => {
    expect(folder.length).toBeGreaterThanOrEqual(4);
  });
});
