/**
 * YAML that anyone may have written. The library's parser calls itself for every level of nesting, which ends a process whose
 * stack is full, and takes time by the square of some sizes; so depth is bounded before it is called, and its time while it is.
 */
import { Lexer, Parser, parse } from 'yaml';
import { runWithin } from './time-limit.js';
import { readBounded } from './untrusted.js';

/** Largest file, bytes: a page of text, or lists of three thousand words. */
const MAX_BYTES = 32 << 10;
/** Open parts at a time, of which a level of nesting has up to three; ours have ten. */
const MAX_OPEN = 100;
const LIMIT_MS = 2000;
/** Aliases may make a small file mean a large value. */
const MAX_ALIASES = 100;

/** The value that a YAML file holds. @throws Error that says what is wrong with it, in one line or more; InputError when it cannot be read */
export function readYamlFile(path: string): unknown {
  const text = readBounded(path, MAX_BYTES).toString('utf8');
  return runWithin(LIMIT_MS, () => {
    checkDepth(text);
    return parse(text, { maxAliasCount: MAX_ALIASES, logLevel: 'error' }) as unknown;
  });
}

/** The library's first stage, which keeps a stack of its own. */
function checkDepth(text: string): void {
  const parser = new Parser();
  for (const token of new Lexer().lex(text)) {
    for (const _document of parser.next(token)) continue;
    if (parser.stack.length > MAX_OPEN) throw new Error('it is nested too deeply');
  }
}
