/**
 * Regular expressions out of a stranger's file. One that backtracks without end cannot be told by its shape (`(a|a)*b`
 * and `\s*\s*\s*x` repeat nothing that is repeated), and JavaScript has no linear engine for what tokenizers use
 * (lookahead). So they run under a time limit; patterns known to be harmless (KNOWN_SPLITS) are spared the detour.
 */
import { InputError } from '../../errors.js';
import { KNOWN_SPLITS } from './split-patterns.js';
import { runWithin } from '../../time-limit.js';

const MIN_LIMIT_MS = 500;
/** Harmless patterns read some ten thousand characters in a millisecond: a hundred times as long is left for a busy machine. */
const CHARACTERS_PER_MS = 100;

/**
 * What `match` returns, which runs the regular expression `pattern` on a text of `characters`.
 * @throws InputError when that takes too long or exhausts the stack.
 */
export function runGuarded<T>(pattern: string, characters: number, match: () => T): T {
  if (KNOWN_SPLITS.has(pattern)) return match();
  try {
    return runWithin(MIN_LIMIT_MS + Math.ceil(characters / CHARACTERS_PER_MS), match);
  } catch (cause) {
    throw new InputError({
      code: 'tokenizer_regex',
      what: `a regular expression of the tokenizer backtracks without end on a text of ${characters} characters: ${(cause as Error).message}`,
      given: pattern,
      hint: 'use the tokenizer.json that belongs to the model',
      cause,
    });
  }
}
