/**
 * The tokenizer in the metadata of a GGUF file (keys as in github.com/ggml-org/ggml, docs/gguf.md), written as the
 * tokenizer.json that the model had before it was converted, from which a tokenizer is made as from any other.
 */
import { at } from '../../errors.js';
import { chatTemplate } from './chat-template.js';
import type { ChatTemplate } from './chat-template.js';
import { checkTokenizerJson } from './check.js';
import { TokenizerKeys } from '../gguf/keys.js';
import type { GgufMetadata } from '../gguf/metadata.js';
import { ggufPreTokenizer } from './gguf-pre-tokenizers.js';
import { makeTokenizer, missingTokenizer } from './make.js';
import type { Tokenizer } from '../model.js';
import { showText } from '../show-name.js';
import { MAX_MERGE_WORK, mergeRanks, mergeWork } from './spm-merges.js';

const MODEL_KEY = 'tokenizer.ggml.model';
const TEMPLATE_KEY = 'tokenizer.chat_template';

/** What tokenizer.ggml.token_type holds for each token. */
const TYPE = { normal: 1, unknown: 2, control: 3, userDefined: 4, unused: 5, byte: 6 } as const;
/** Tokens that are found in a text as they are written; of these, whether they are special. */
const ADDED: ReadonlyMap<number, boolean> = new Map([
  [TYPE.unknown, true],
  [TYPE.control, true],
  [TYPE.userDefined, false],
]);

export function hasGgufTokenizer(metadata: GgufMetadata): boolean {
  const model = metadata.get(MODEL_KEY);
  return model !== undefined && model !== 'none' && model !== 'no_vocab';
}

/**
 * The tokenizer of a GGUF file; `vocab` is the number of rows of token_embd.weight. Without one, the result says so when
 * it is used.
 * @throws InputError when a key is malformed or names something that is not supported.
 */
export function tokenizerFromGguf(metadata: GgufMetadata, vocab: number, path: string): Tokenizer {
  if (!hasGgufTokenizer(metadata))
    return missingTokenizer(vocab, {
      what: 'the GGUF file has no tokenizer (tokenizer.ggml.model is none or missing)',
      given: path,
      hint: 'convert the model again, with its tokenizer',
    });
  const keys = new TokenizerKeys(metadata, path);
  const model = keys.text('model') ?? '';
  const make = Object.hasOwn(MODELS, model) ? MODELS[model] : undefined;
  if (make === undefined) throw keys.fail(`unsupported ${MODEL_KEY} ${showText(model)}`, `${Object.keys(MODELS).join(' or ')}, or none`);
  const file = readTokens(keys, vocab);
  const { json, ranks, addBos } = make(keys, file);
  const checked = checkTokenizerJson(
    { ...json, added_tokens: addedTokens(file), post_processor: postProcessor(keys, file, addBos) },
    vocab,
    path,
    'the tokenizer in the metadata',
  );
  return makeTokenizer({
    json: checked,
    ...(ranks === undefined ? {} : { ranks }),
    template: template(metadata, keys, file, path),
    vocab,
    path,
  });
}

interface Tokens {
  readonly texts: readonly string[];
  readonly types: readonly number[];
  readonly bos: number | undefined;
  readonly eos: number | undefined;
  readonly unknown: number | undefined;
  readonly padding: number | undefined;
}

interface Made {
  /** Parts of a tokenizer.json. */
  readonly json: Readonly<Record<string, unknown>>;
  readonly ranks?: ReadonlyMap<string, number>;
  /** What holds where the file has no add_bos_token. */
  readonly addBos: boolean;
}

function readTokens(keys: TokenizerKeys, vocab: number): Tokens {
  const texts = keys.texts('tokens');
  if (texts === undefined) throw keys.fail('tokenizer.ggml.tokens is missing', 'a list of tokens');
  if (texts.length !== vocab)
    throw keys.fail(`tokenizer.ggml.tokens has ${texts.length} entries, token_embd.weight has ${vocab} rows`, 'a token for each row');
  return {
    texts,
    types: keys.numbers('token_type', texts.length) ?? texts.map(() => TYPE.normal),
    bos: keys.id('bos_token_id', vocab),
    eos: keys.id('eos_token_id', vocab),
    unknown: keys.id('unknown_token_id', vocab),
    padding: keys.id('padding_token_id', vocab),
  };
}

/** By tokenizer.ggml.model. */
const MODELS: Readonly<Record<string, (keys: TokenizerKeys, file: Tokens) => Made>> = { gpt2: byteLevel, llama: sentencePiece };

/** Byte-level BPE. */
function byteLevel(keys: TokenizerKeys, file: Tokens): Made {
  const name = keys.text('pre');
  if (name === undefined) throw keys.fail('tokenizer.ggml.pre is missing: how the tokenizer splits text cannot be known');
  const pre = ggufPreTokenizer(name);
  if (pre === undefined) throw keys.fail(`unsupported tokenizer.ggml.pre ${showText(name)}`);
  const merges = keys.texts('merges');
  if (merges === undefined) throw keys.fail('tokenizer.ggml.merges is missing');
  return {
    json: {
      normalizer: pre.normalizer ?? null,
      pre_tokenizer: { type: 'Sequence', pretokenizers: pre.parts },
      decoder: { type: 'ByteLevel' },
      model: { type: 'BPE', vocab: vocabulary(keys, file), merges, ignore_merges: pre.ignoreMerges ?? false },
    },
    addBos: pre.addBos ?? false,
  };
}

/** SentencePiece-style BPE: spaces are `▁`, and what is no token becomes its bytes. */
function sentencePiece(keys: TokenizerKeys, file: Tokens): Made {
  const scores = keys.numbers('scores', file.texts.length);
  if (scores === undefined) throw keys.fail('tokenizer.ggml.scores is missing');
  const mergeable = file.texts
    .map((text, id) => ({ text, score: at(scores, id), type: at(file.types, id) }))
    .filter(({ type }) => type === TYPE.normal || type === TYPE.userDefined);
  if (mergeWork(mergeable) > MAX_MERGE_WORK) throw keys.fail('tokenizer.ggml.tokens has longer tokens than any tokenizer');
  const prefix = keys.flag('add_space_prefix') ?? true;
  const unknown = file.unknown ?? (at(file.types, 0) === TYPE.unknown ? 0 : undefined);
  const toMark = { type: 'Replace', pattern: { String: ' ' }, content: '▁' };
  const toSpace = { type: 'Replace', pattern: { String: '▁' }, content: ' ' };
  return {
    json: {
      normalizer: { type: 'Sequence', normalizers: prefix ? [{ type: 'Prepend', prepend: '▁' }, toMark] : [toMark] },
      pre_tokenizer: null,
      decoder: {
        type: 'Sequence',
        decoders: [
          toSpace,
          { type: 'ByteFallback' },
          { type: 'Fuse' },
          ...(prefix ? [{ type: 'Strip', content: ' ', start: 1, stop: 0 }] : []),
        ],
      },
      model: {
        type: 'BPE',
        vocab: vocabulary(keys, file),
        merges: [],
        unk_token: unknown === undefined ? null : at(file.texts, unknown),
        byte_fallback: true,
        fuse_unk: true,
      },
    },
    ranks: mergeRanks(mergeable),
    addBos: true,
  };
}

/** Tokens and ids, without those that only fill the vocabulary up. */
function vocabulary(keys: TokenizerKeys, { texts, types }: Tokens): Readonly<Record<string, number>> {
  const vocab = new Map<string, number>();
  texts.forEach((text, id) => {
    if (text === '' || types[id] === TYPE.unused) return;
    const other = vocab.get(text);
    if (other !== undefined) throw keys.fail(`tokenizer.ggml.tokens: entries ${other} and ${id} are both ${showText(text)}`);
    vocab.set(text, id);
  });
  return Object.fromEntries(vocab);
}

function addedTokens({ texts, types }: Tokens): object[] {
  return texts.flatMap((content, id) => {
    const special = ADDED.get(at(types, id));
    return special === undefined ? [] : [{ id, content, special, normalized: false }];
  });
}

/** BOS before the text and EOS after it, where the file wants them. */
function postProcessor(keys: TokenizerKeys, file: Tokens, addBos: boolean): object | null {
  const before = edge(keys, file, 'bos', keys.flag('add_bos_token'), addBos);
  const after = edge(keys, file, 'eos', keys.flag('add_eos_token'), false);
  const ids = [before, after].filter((id) => id !== undefined);
  if (ids.length === 0) return null;
  const piece = (id: number | undefined): object[] => (id === undefined ? [] : [{ SpecialToken: { id: at(file.texts, id), type_id: 0 } }]);
  return {
    type: 'TemplateProcessing',
    single: [...piece(before), { Sequence: { id: 'A', type_id: 0 } }, ...piece(after)],
    special_tokens: Object.fromEntries(ids.map((id) => [at(file.texts, id), { ids: [id] }])),
  };
}

function edge(keys: TokenizerKeys, file: Tokens, name: 'bos' | 'eos', wanted: boolean | undefined, usual: boolean): number | undefined {
  if (wanted === true && file[name] === undefined)
    throw keys.fail(`tokenizer.ggml.add_${name}_token is true, but there is no tokenizer.ggml.${name}_token_id`);
  return (wanted ?? usual) ? file[name] : undefined;
}

/** Templates for other uses (`tokenizer.chat_template.<name>`) are not read. */
function template(metadata: GgufMetadata, keys: TokenizerKeys, file: Tokens, path: string): ChatTemplate | undefined {
  const text = metadata.get(TEMPLATE_KEY);
  if (text === undefined) return undefined;
  if (typeof text !== 'string') throw keys.fail(`${TEMPLATE_KEY} is not a text`);
  const textOf = (id: number | undefined): string | undefined => (id === undefined ? undefined : at(file.texts, id));
  return chatTemplate(
    text,
    { bos_token: textOf(file.bos), eos_token: textOf(file.eos), unk_token: textOf(file.unknown), pad_token: textOf(file.padding) },
    path,
  );
}
