/** tokenizer.json of both styles, byte-level and SentencePiece-like, with tokenizer_config.json and chat templates. */
import type { Rng } from '../../../src/data/rng.js';
import { readTokenizer } from '../../../src/model/tokenizer/read.js';
import { useTokenizer } from '../check-model.js';
import { changedText, jsonText, mutateJson } from '../mutate-json.js';
import type { Json } from '../mutate-json.js';
import { withLinks } from '../kind.js';
import type { FuzzKind } from '../kind.js';

const VOCAB = 300;

const PATTERN =
  "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+";

/** The characters that byte-level vocabularies write bytes as: printable ones themselves, the others from U+0100 on. */
export const BYTE_CHARACTERS: readonly string[] = byteCharacters();

function byteCharacters(): string[] {
  const printable = (byte: number): boolean => (byte >= 33 && byte <= 126) || (byte >= 161 && byte <= 172) || byte >= 174;
  let others = 0;
  return Array.from({ length: 256 }, (_, byte) => String.fromCharCode(printable(byte) ? byte : 256 + others++));
}

const special = (id: number, content: string): Json => ({
  id,
  content,
  single_word: false,
  lstrip: false,
  rstrip: false,
  normalized: false,
  special: true,
});
const indexed = (tokens: readonly string[]): Json => Object.fromEntries(tokens.map((token, id) => [token, id]));

export const MERGES: readonly (readonly [string, string])[] = [
  ['t', 'h'],
  ['th', 'e'],
  ['Ġ', 'the'],
  ['i', 'n'],
  ['in', 'g'],
  ['a', 'n'],
  ['an', 'd'],
];

const BYTE_LEVEL: Json = {
  version: '1.0',
  added_tokens: [special(256, '<|end|>'), special(257, '<|user|>')],
  normalizer: { type: 'NFC' },
  pre_tokenizer: {
    type: 'Sequence',
    pretokenizers: [
      { type: 'Split', pattern: { Regex: PATTERN }, behavior: 'Isolated', invert: false },
      { type: 'ByteLevel', add_prefix_space: false, trim_offsets: true, use_regex: false },
    ],
  },
  post_processor: {
    type: 'TemplateProcessing',
    single: [{ SpecialToken: { id: '<|end|>', type_id: 0 } }, { Sequence: { id: 'A', type_id: 0 } }],
    pair: [],
    special_tokens: { '<|end|>': { id: '<|end|>', ids: [256], tokens: ['<|end|>'] } },
  },
  decoder: { type: 'ByteLevel', add_prefix_space: true, trim_offsets: true, use_regex: true },
  model: {
    type: 'BPE',
    vocab: indexed([...BYTE_CHARACTERS, '<|end|>', '<|user|>', ...MERGES.map((pair) => pair.join(''))]),
    merges: MERGES.map((pair) => [...pair]),
    byte_fallback: false,
    ignore_merges: false,
    unk_token: null,
  },
};

const BYTES = Array.from({ length: 256 }, (_, byte) => `<0x${byte.toString(16).toUpperCase().padStart(2, '0')}>`);

const BYTE_FALLBACK: Json = {
  added_tokens: [special(0, '<unk>'), special(1, '<s>')],
  normalizer: {
    type: 'Sequence',
    normalizers: [
      { type: 'Prepend', prepend: '▁' },
      { type: 'Replace', pattern: { String: ' ' }, content: '▁' },
    ],
  },
  pre_tokenizer: null,
  post_processor: {
    type: 'TemplateProcessing',
    single: [{ SpecialToken: { id: '<s>', type_id: 0 } }, { Sequence: { id: 'A', type_id: 0 } }],
    pair: [],
    special_tokens: { '<s>': { id: '<s>', ids: [1], tokens: ['<s>'] } },
  },
  decoder: {
    type: 'Sequence',
    decoders: [
      { type: 'Replace', pattern: { String: '▁' }, content: ' ' },
      { type: 'ByteFallback' },
      { type: 'Fuse' },
      { type: 'Strip', content: ' ', start: 1, stop: 0 },
    ],
  },
  model: {
    type: 'BPE',
    vocab: indexed(['<unk>', '<s>', ...BYTES, '▁', 'a', 'b', '▁a', 'ab', '▁ab']),
    merges: ['▁ a', 'a b', '▁a b'],
    byte_fallback: true,
    fuse_unk: true,
    unk_token: '<unk>',
  },
};

const TEMPLATES: readonly string[] = [
  "{% for message in messages %}{{ '<|' + message['role'] + '|>' + message['content'] | trim }}{% endfor %}{% if add_generation_prompt %}{{ '<|assistant|>' }}{% endif %}",
  "{%- if messages[0]['role'] == 'system' %}{%- set loop_messages = messages[1:] %}{%- else %}{%- set loop_messages = messages %}{%- endif %}{{ bos_token }}{%- for m in loop_messages %}{%- if loop.first and m.content is string %}[{{ m.content }}]{%- else %}{{ raise_exception('roles') }}{%- endif %}{%- endfor %}",
  '{%- macro show(x) %}{{ x | upper }}{% endmacro %}{% set ns = namespace(n=0) %}{% for i in range(3) %}{% set ns.n = ns.n + i %}{% endfor %}{{ show(messages[0].content) }}{{ ns.n }}',
];

const PIECES = [
  '{% for i in range(1000000000) %}x{% endfor %}',
  '{{ messages * 1000 }}',
  "{{ 'x' * 100000000 }}",
  '{% set x = x + x %}',
  '{{ messages.constructor }}',
  '{{ (1).__proto__ }}',
  '{{ 1 / 0 }}',
  '{{ undefined.x }}',
  "{{ ''.join(['a'] * 99999) }}",
  '{% include "/etc/passwd" %}',
  "{{ '%s' % 1 }}",
  '{%',
  '{{ [',
];

export const tokenizerKind: FuzzKind = {
  name: 'tokenizer',
  make: (rng, changes) => {
    const inTokenizer = rng.float() < 0.7 ? changes : 0;
    const inTree = rng.float() < 0.85;
    const tree = mutateJson(rng, rng.choice([BYTE_LEVEL, BYTE_FALLBACK]), inTree ? inTokenizer : 0);
    const config = { bos_token: '<s>', eos_token: { content: '</s>' }, chat_template: template(rng, changes - inTokenizer) };
    const files = {
      'tokenizer.json': jsonText(rng, tree, inTree ? 0 : inTokenizer),
      'tokenizer_config.json': jsonText(rng, mutateJson(rng, config, rng.float() < 0.3 ? changes - inTokenizer : 0), 0),
      ...(rng.float() < 0.2 ? { 'chat_template.jinja': template(rng, changes - inTokenizer) } : {}),
    };
    return withLinks(rng, files, changes);
  },
  read: (folder) => useTokenizer(readTokenizer(folder, VOCAB)),
};

function template(rng: Rng, changes: number): string {
  let text = rng.choice(TEMPLATES);
  for (let i = 0; i < changes; i++) {
    const place = rng.int(0, text.length);
    text = rng.float() < 0.3 ? text.slice(0, place) + rng.choice(PIECES) + text.slice(place) : changedText(rng, text);
  }
  return text;
}
