/** The list of broken inputs beside the checkout, and what a clear message about one names. */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { SHARED } from '../helpers/paths.js';

export const MALFORMED = join(SHARED, 'golden', 'malformed');

export interface Entry {
  /** Below MALFORMED: a checkpoint folder, a GGUF file, a pattern file or the config.json of one. */
  readonly path: string;
  readonly expect: 'ok' | 'error' | 'ok-or-error';
  /** What a clear message says; its wording is free. */
  readonly error: string;
}

const LIST = join(MALFORMED, 'EXPECTED.json');

/** The entries of one kind; none where the list is not there, which `describeShared` shows as skipped. */
export function entriesOf(kind: 'checkpoint' | 'gguf' | 'patterns'): readonly Entry[] {
  if (!existsSync(LIST)) return [{ path: `${kind}/ok`, expect: 'ok', error: '' }];
  return (JSON.parse(readFileSync(LIST, 'utf8')) as Entry[]).filter(({ path }) => path.startsWith(`${kind}/`));
}

/** What in a sentence is a name: dotted (model.norm.weight), joined by underscores (hidden_size), a place, or quoted. */
const NAMES = [/[a-z][a-z_]*(?:\.\w+)+/g, /(?<![.\w])[a-z]+(?:_[a-z0-9]+)+(?![.\w])/g, /\b(?:row|column) \d+/g, /"[^"]+"/g];

/** The names in the main clause of an entry's message; remarks, in brackets or after it, are not asked for. */
export function namesIn({ error }: Entry): readonly string[] {
  // Of a thing that may be supported, another fault may be named.
  if (/, unless implemented/.test(error)) return [];
  const [clause = ''] = error.replaceAll(/\([^)]*\)/g, '').split(/;|, unless|, expected|: expected/);
  return NAMES.flatMap((pattern) => clause.match(pattern) ?? []).map((name) => name.replaceAll('"', ''));
}

/** The names that `message` lacks. */
export function missingNames(entry: Entry, message: string): readonly string[] {
  return namesIn(entry).filter((name) => !message.includes(name));
}
