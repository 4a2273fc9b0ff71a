import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import { InputError } from '../../src/errors.js';
import { readConfig } from '../../src/model/read-config.js';
import { readTokenizer } from '../../src/model/tokenizer.js';
import { writeFolder } from '../helpers/checkpoints.js';
import { describeShared, DUO_MINI, GOLDEN, SHARED } from '../helpers/paths.js';
import { temporaryFolder } from '../helpers/temporary.js';

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

  const template =
    '{% for m in messages %}{{ bos_token }}{{ m.role }}: {{ m.content }}\n{% endfor %}{% if add_generation_prompt %}assistant:{% endif %}';

  test.each([
    ['in tokenizer_config.json', { 'tokenizer_config.json': { bos_token: { content: '<s>' }, chat_template: template } }],
    [
      'the default of several',
      {
        'tokenizer_config.json': {
          bos_token: '<s>',
          chat_template: [
            { name: 'tools', template: 'no' },
            { name: 'default', template },
          ],
        },
      },
    ],
    ['in a file of its own', { 'tokenizer_config.json': { bos_token: '<s>', chat_template: 'old' }, 'chat_template.jinja': template }],
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

describeShared('the golden tokenizers', () => {
  const base = join(SHARED, 'golden');
  const folder = existsSync(base) ? readdirSync(base).filter((name) => existsSync(join(base, name, 'tokenizer-golden.json'))) : [];
  const goldenSchema = z.object({
    cases: z.array(z.object({ text: z.string(), ids, ids_no_special: ids, decoded: z.string(), decoded_skip_special: z.string() })),
    decode_cases: z.array(z.object({ ids, decoded: z.string() })),
  });

  test.each(folder)('%s: every case is exact', (name) => {
    const path = join(base, name);
    const { vocab } = z.object({ vocab: z.number() }).parse(read(join(path, 'case.json')));
    const tokenizer = readTokenizer(path, vocab);
    const golden = goldenSchema.parse(read(join(path, 'tokenizer-golden.json')));
    const actual = {
      cases: golden.cases.map(({ text, ids: withSpecials }) => ({
        text,
        ids: tokenizer.encode(text, { specials: true }),
        ids_no_special: tokenizer.encode(text),
        decoded: tokenizer.decode(withSpecials),
        decoded_skip_special: tokenizer.decode(withSpecials, { skipSpecials: true }),
      })),
      decode_cases: golden.decode_cases.map((row) => ({ ids: row.ids, decoded: tokenizer.decode(row.ids) })),
    };
    expect(actual).toEqual(golden);
  });

  test('finds at least the four that are known', () => {
    expect(folder.length).toBeGreaterThanOrEqual(4);
    expect(readConfig(join(base, 'llama-mha')).config.vocab).toBe(288);
  });
});
