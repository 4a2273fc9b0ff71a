/**
 * JSON that anyone may have written: UTF-8, shallow, of bounded parts, and with no key twice in an object, of which JSON.parse
 * would take the last in silence.
 */
import { InputError } from './errors.js';

/** Deepest nesting: what is read here has ten levels at most, and recursion over it must stay far from the stack's end. */
const MAX_DEPTH = 64;
/** Most objects, lists and keys: the largest tokenizers have a million. A value of 3 bytes of text takes 30 of memory. */
const MAX_PARTS = 4_000_000;

/** The value that `bytes` hold; `what` and `given` name them in messages. @throws InputError when they are no such JSON */
export function parseJson(bytes: Uint8Array, what: string, given: string): unknown {
  const text = decodeUtf8(bytes, what, given);
  const scan = scanJson(text);
  if (scan.excess !== undefined)
    throw new InputError({ code: 'json_excess', what: `${what} ${scan.excess.what}`, given, expected: scan.excess.expected });
  const value = parse(text, what, given);
  if (scan.repeated !== undefined)
    throw new InputError({
      code: 'json_repeated',
      what: `${what} has the key ${scan.repeated} twice in one object`,
      given,
      expected: 'each key once',
    });
  return value;
}

function decodeUtf8(bytes: Uint8Array, what: string, given: string): string {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch (cause) {
    throw new InputError({ code: 'json_utf8', what: `${what} is not valid UTF-8`, given, expected: 'JSON in UTF-8', cause });
  }
}

function parse(text: string, what: string, given: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch (cause) {
    const { message } = cause as Error;
    throw new InputError({ code: 'json_syntax', what: `${what} is not valid JSON: ${message}`, given, expected: 'JSON', cause });
  }
}

interface Scan {
  /** More than is parsed. */
  readonly excess?: { readonly what: string; readonly expected: string };
  /** A key, as it is written, that its object has already; of meaning only where the text is JSON. */
  readonly repeated?: string;
}

const TOO_DEEP: Scan = { excess: { what: 'is nested too deeply', expected: `at most ${MAX_DEPTH} levels` } };
const TOO_MANY: Scan = { excess: { what: 'has too many parts', expected: `at most ${MAX_PARTS} objects, lists and keys` } };

/** Reads the text once, before it is parsed: parsing a million brackets would take all memory. */
function scanJson(text: string): Scan {
  /** The keys of each open object; undefined for a list. */
  const open: (Set<string> | undefined)[] = [];
  let [parts, repeated]: [number, string | undefined] = [0, undefined];
  for (let i = 0; i < text.length; i++) {
    const character = text.charCodeAt(i);
    if (character === 0x22) {
      const end = endOfString(text, i);
      const keys = open.at(-1);
      if (keys !== undefined && isKey(text, end)) {
        const key = text.slice(i, end);
        const size = keys.size;
        if (keys.add(unescaped(key)).size === size) repeated ??= key;
        parts += 1;
      }
      i = end - 1;
    } else if (character === 0x5b || character === 0x7b) {
      open.push(character === 0x7b ? new Set() : undefined);
      parts += 1;
      if (open.length > MAX_DEPTH) return TOO_DEEP;
    } else if (character === 0x5d || character === 0x7d) open.pop();
    if (parts > MAX_PARTS) return TOO_MANY;
  }
  return repeated === undefined ? {} : { repeated };
}

/** Where the string that begins at `start` has ended. */
function endOfString(text: string, start: number): number {
  for (let i = start + 1; i < text.length; i++) {
    const character = text.charCodeAt(i);
    if (character === 0x22) return i + 1;
    if (character === 0x5c) i += 1;
  }
  return text.length;
}

/** True when a colon comes next, blanks aside. */
function isKey(text: string, end: number): boolean {
  let i = end;
  while (i < text.length && text.charCodeAt(i) <= 0x20) i += 1;
  return text.charCodeAt(i) === 0x3a;
}

/** `"\u0061"` and `"a"` are one key. */
function unescaped(key: string): string {
  if (!key.includes('\\')) return key;
  try {
    return JSON.stringify(JSON.parse(key));
  } catch {
    return key;
  }
}
