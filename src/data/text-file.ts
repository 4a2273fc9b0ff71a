/** The user's own haystack: .txt, .md, or .jsonl with a text field, each also as .gz. Read whole, within bounds. */
import { gunzipSync } from 'node:zlib';
import { z } from 'zod';
import { InputError } from '../errors.js';
import { readBounded } from '../untrusted.js';

/** Largest haystack file, bytes, before and after unpacking: some 16 million tokens, more than any context holds. */
const MAX_HAYSTACK_BYTES = 64 * 2 ** 20;

const EXPECTED = 'essay, synthetic, or a .txt, .md or .jsonl file (.gz too)';

const record = z.object({ text: z.string() });

/** The file's text, line ends as `\n`. @throws InputError when it is missing, too large, of another kind, damaged or empty. */
export function readTextFile(path: string): string {
  const kind = /\.(txt|md|jsonl)(\.gz)?$/i.exec(path);
  if (!kind) throw problem('haystack_unknown', 'there is no haystack of this name or kind', path, EXPECTED);
  const text = decode(path, kind[2] === undefined ? readBytes(path) : unpack(path, readBytes(path)));
  const plain = kind[1]?.toLowerCase() === 'jsonl' ? textOfRecords(path, text) : text;
  if (plain.trim() === '') throw problem('haystack_empty', 'the haystack holds no text', path, 'a text of at least some sentences');
  return plain;
}

function readBytes(path: string): Buffer {
  try {
    return readBounded(path, MAX_HAYSTACK_BYTES);
  } catch (cause) {
    if (cause instanceof InputError && cause.code === 'file_size') throw tooLarge(path);
    throw problem('haystack_unreadable', `the haystack cannot be read: ${(cause as Error).message}`, path, EXPECTED, cause);
  }
}

function unpack(path: string, packed: Buffer): Buffer {
  try {
    return gunzipSync(packed, { maxOutputLength: MAX_HAYSTACK_BYTES });
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === 'ERR_BUFFER_TOO_LARGE') throw tooLarge(path);
    throw problem('haystack_damaged', 'the haystack is not whole gzip data', path, 'a file made by gzip', cause);
  }
}

function decode(path: string, bytes: Buffer): string {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes).replaceAll(/\r\n?/g, '\n');
  } catch (cause) {
    throw problem('haystack_encoding', 'the haystack is not UTF-8 text', path, 'text in UTF-8', cause);
  }
}

function textOfRecords(path: string, lines: string): string {
  const texts = lines.split('\n').flatMap((line, index) => (line.trim() === '' ? [] : [textOfRecord(path, line, index + 1)]));
  return texts.join('\n\n');
}

function textOfRecord(path: string, line: string, number: number): string {
  try {
    return record.parse(JSON.parse(line)).text.trim();
  } catch (cause) {
    throw problem('haystack_record', `line ${number} is not a record with a text`, path, '{"text": "..."} on every line', cause);
  }
}

function tooLarge(path: string): InputError {
  return problem('haystack_too_large', 'the haystack is too large', path, `at most ${MAX_HAYSTACK_BYTES / 2 ** 20} MiB of text`);
}

function problem(code: string, what: string, given: string, expected: string, cause?: unknown): InputError {
  return new InputError({ code, what, given, expected, ...(cause === undefined ? {} : { cause }) });
}
