/**
 * Text to token ids and back, through @huggingface/tokenizers, and chat templates through @huggingface/jinja. Where the
 * library differs from the tokenizers library that models are made with, it is corrected around it, here.
 */
import { statSync, readFileSync } from 'node:fs';
import { Template } from '@huggingface/jinja';
import { z } from 'zod';
import { InputError } from '../errors.js';
import { checkTokenizerJson } from './check-tokenizer.js';
import { findFile, readJsonObject } from './files.js';
import type { ChatMessage, Tokenizer } from './model.js';
import { createLibraryTokenizer } from './tokenizer-library.js';
import type { LibraryDecoder, LibraryTokenizer } from './tokenizer-library.js';

/** Largest tokenizer.json read, bytes: vocabularies of 256,000 tokens take about 35 MB. */
const MAX_TOKENIZER_BYTES = 128 << 20;
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
  if (path === undefined) return missingTokenizer(folder, vocab);
  const json = readJsonObject(path, MAX_TOKENIZER_BYTES);
  const library = createTokenizer(checkTokenizerJson(json, vocab, path), path);
  if (library.decoder !== null) correctByteFallback(library.decoder);
  const settings = readSettings(folder);
  return {
    vocab,
    encode: (text, options) => encode(library, text, options?.specials ?? false, vocab, path),
    decode: (ids, options) => decode(library, ids, options?.skipSpecials ?? false),
    chat: (messages, options) => renderChat(settings, messages, options?.addGenerationPrompt ?? false, folder),
  };
}

function createTokenizer(json: object, path: string): LibraryTokenizer {
  try {
    return createLibraryTokenizer(json);
  } catch (cause) {
    throw new InputError({
      code: 'tokenizer_unsupported',
      what: `tokenizer.json has a part that is not supported: ${(cause as Error).message}`,
      given: path,
      cause,
    });
  }
}

function missingTokenizer(folder: string, vocab: number): Tokenizer {
  const fail = (): never => {
    throw new InputError({
      code: 'tokenizer_missing',
      what: 'the model folder has no tokenizer.json',
      given: folder,
      hint: 'put the tokenizer.json that belongs to the model beside its config.json',
    });
  };
  return { vocab, encode: fail, decode: fail, chat: fail };
}

function encode(library: LibraryTokenizer, text: string, specials: boolean, vocab: number, path: string): number[] {
  const { ids, tokens } = library.encode(text, { add_special_tokens: specials });
  return ids.map((id, index) => {
    if (id !== undefined && id < vocab) return id;
    const token = JSON.stringify(tokens[index]);
    throw new InputError({
      code: 'token_range',
      what:
        id === undefined
          ? `token ${token} is not in the vocabulary`
          : `token ${token} has id ${id}, outside the model's vocab_size ${vocab}`,
      given: path,
      hint: 'use the tokenizer.json that belongs to the model',
    });
  });
}

/** The library takes no empty list and reads an unknown id as the unknown token; both decode to nothing. */
function decode(library: LibraryTokenizer, ids: readonly number[], skipSpecials: boolean): string {
  const known = ids.filter((id) => library.id_to_token(id) !== undefined);
  if (known.length === 0) return '';
  return library.decode(known, { skip_special_tokens: skipSpecials, clean_up_tokenization_spaces: false });
}

/** Replaces the library's reading of byte tokens wherever the decoder has it. */
function correctByteFallback(decoder: LibraryDecoder): void {
  if (decoder.config.type === 'ByteFallback') decoder.decode_chain = fuseByteTokens;
  decoder.decoders?.forEach(correctByteFallback);
}

/** Joins each run of byte tokens (`<0x0A>`) into text; in a run that is not valid UTF-8 every byte becomes one U+FFFD. */
function fuseByteTokens(tokens: string[]): string[] {
  const texts: string[] = [];
  let run: number[] = [];
  const endRun = (): void => {
    if (run.length > 0) texts.push(decodeRun(run));
    run = [];
  };
  for (const token of tokens) {
    const byte = /^<0x([0-9a-fA-F]{2})>$/.exec(token)?.[1];
    if (byte !== undefined) run.push(Number.parseInt(byte, 16));
    else {
      endRun();
      texts.push(token);
    }
  }
  endRun();
  return texts;
}

function decodeRun(bytes: readonly number[]): string {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(Uint8Array.from(bytes));
  } catch {
    return '\uFFFD'.repeat(bytes.length);
  }
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

interface ChatSettings {
  /** Special tokens under the names that templates use. */
  readonly specials: Readonly<Record<string, string | undefined>>;
  readonly template: string | undefined;
}

function readSettings(folder: string): ChatSettings {
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
  return { specials: { bos_token, eos_token, pad_token, unk_token }, template: readTemplateFile(folder) ?? own };
}

/** Newer checkpoints keep the template in a file of its own, which then counts. */
function readTemplateFile(folder: string): string | undefined {
  const path = findFile(folder, 'chat_template.jinja');
  if (path === undefined) return undefined;
  const { size } = statSync(path);
  if (size > MAX_TEXT_BYTES)
    throw new InputError({
      code: 'template_size',
      what: 'chat_template.jinja is too large',
      given: `${size} bytes`,
      expected: `at most ${MAX_TEXT_BYTES} bytes`,
    });
  return readFileSync(path, 'utf8');
}

function renderChat(
  settings: ChatSettings,
  messages: readonly ChatMessage[],
  addGenerationPrompt: boolean,
  folder: string,
): string | undefined {
  if (settings.template === undefined) return undefined;
  const specials = Object.fromEntries(Object.entries(settings.specials).filter(([, text]) => text !== undefined));
  try {
    return new Template(settings.template).render({
      ...specials,
      messages: messages.map(({ role, content }) => ({ role, content })),
      add_generation_prompt: addGenerationPrompt,
      // transformers passes these as none, and templates ask.
      tools: null,
      documents: null,
    });
  } catch (cause) {
    throw new InputError({
      code: 'chat_template',
      what: `the chat template cannot be rendered: ${(cause as Error).message}`,
      given: folder,
      cause,
    });
  }
}
