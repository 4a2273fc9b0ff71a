/** The tokenizer of a model folder: tokenizer.json, and the chat template and special tokens of tokenizer_config.json. */
import { z } from 'zod';
import { InputError } from '../../errors.js';
import { readBounded } from '../../untrusted.js';
import { chatTemplate } from './chat-template.js';
import type { ChatTemplate } from './chat-template.js';
import { checkTokenizerJson } from './check.js';
import { findFile, readJsonObject } from '../files.js';
import { makeTokenizer, missingTokenizer } from './make.js';
import type { Tokenizer } from '../model.js';

/** Largest tokenizer.json read, bytes: vocabularies of 256,000 tokens take about 35 MB. */
const MAX_TOKENIZER_BYTES = 64 << 20;
/** Largest tokenizer_config.json or chat template read, bytes: hundreds of added tokens take about 1 MB. */
const MAX_TEXT_BYTES = 8 << 20;

export function hasTokenizer(folder: string): boolean {
  return findFile(folder, 'tokenizer.json') !== undefined;
}

/**
 * The tokenizer of a model folder; `vocab` is the model's vocabulary size, and no id outside it is ever returned. Without
 * a tokenizer.json the result says so when it is used.
 * @throws InputError when a file is malformed or a part of it is not supported.
 */
export function readTokenizer(folder: string, vocab: number): Tokenizer {
  const path = findFile(folder, 'tokenizer.json');
  if (path === undefined)
    return missingTokenizer(vocab, {
      what: 'the model folder has no tokenizer.json',
      given: folder,
      hint: 'put the tokenizer.json that belongs to the model beside its config.json',
    });
  const json = checkTokenizerJson(readJsonObject(path, MAX_TOKENIZER_BYTES), vocab, path);
  return makeTokenizer({ json, template: readTemplate(folder), vocab, path });
}

const tokenText = z
  .union([z.string(), z.looseObject({ content: z.string() }).transform((token) => token.content)])
  .nullish()
  .transform((text) => text ?? undefined);

const settingsSchema = z.looseObject({
  bos_token: tokenText,
  eos_token: tokenText,
  pad_token: tokenText,
  unk_token: tokenText,
  chat_template: z.union([z.string(), z.array(z.looseObject({ name: z.string(), template: z.string() }))]).nullish(),
});

function readTemplate(folder: string): ChatTemplate | undefined {
  const path = findFile(folder, 'tokenizer_config.json');
  const parsed = settingsSchema.safeParse(path === undefined ? {} : readJsonObject(path, MAX_TEXT_BYTES));
  if (!parsed.success)
    throw new InputError({
      code: 'tokenizer_config',
      what: `tokenizer_config.json: ${parsed.error.issues[0]?.path.join('.')} is not what it should be`,
      given: path ?? folder,
    });
  const { chat_template: inline, bos_token, eos_token, pad_token, unk_token } = parsed.data;
  const own = typeof inline === 'string' ? inline : inline?.find((entry) => entry.name === 'default')?.template;
  const template = readTemplateFile(folder) ?? own;
  return template === undefined ? undefined : chatTemplate(template, { bos_token, eos_token, pad_token, unk_token }, path ?? folder);
}

/** Newer checkpoints keep the template in a file of its own, which then counts. */
function readTemplateFile(folder: string): string | undefined {
  const path = findFile(folder, 'chat_template.jinja');
  if (path === undefined) return undefined;
  return readBounded(path, MAX_TEXT_BYTES).toString('utf8');
}
