/**
 * Token ids of pieces of text that are spliced. The first piece of a sequence gets what the tokenizer puts in front (BOS);
 * a later one must read as the middle of a text. Tokenizers of the SentencePiece kind put a space before whatever they are
 * given, so for those a later piece is encoded behind an anchor whose ids are taken off again.
 */
import { canonicalJson, sha256 } from '../files.js';
import type { Tokenizer } from '../model/model.js';

/** `joined`: a later piece reads as the middle of a text; `plain`: as the tokenizer gives it, the reference's way. */
export type PieceMode = 'joined' | 'plain';

/** Tried in order; the ids of the first that stays whole before the piece are taken off. */
const ANCHORS = ['\n', '.', 'x'];

const PROBE = "The 26th of May, 1851: naive whales -- alpha zulu...\n\n 4821930. <|im_start|> It's so.";

const spaced = new WeakMap<Tokenizer, boolean>();
const fingerprints = new WeakMap<Tokenizer, string>();

/** Ids the tokenizer puts in front of a sequence, e.g. BOS. */
export function leadingIds(tokenizer: Tokenizer): number[] {
  const bare = tokenizer.encode('x');
  const whole = tokenizer.encode('x', { specials: true });
  const start = whole.findIndex((_, index) => bare.every((id, offset) => whole[index + offset] === id));
  return start > 0 ? whole.slice(0, start) : [];
}

/** Ids of a piece that follows another one. */
export function encodePiece(tokenizer: Tokenizer, text: string, mode: PieceMode = 'joined'): number[] {
  if (text === '') return [];
  if (mode === 'plain' || !addsSpace(tokenizer)) return tokenizer.encode(text);
  for (const anchor of ANCHORS) {
    const before = tokenizer.encode(anchor);
    const whole = tokenizer.encode(anchor + text);
    if (before.every((id, index) => whole[index] === id)) return whole.slice(before.length);
  }
  return tokenizer.encode(text);
}

/** Whether the tokenizer puts a space before a text: then `x` alone is not what it is after a line break. */
function addsSpace(tokenizer: Tokenizer): boolean {
  let adds = spaced.get(tokenizer);
  if (adds === undefined) {
    const alone = tokenizer.encode('x');
    const behind = tokenizer.encode('\nx').slice(-alone.length);
    adds = alone.some((id, index) => behind[index] !== id);
    spaced.set(tokenizer, adds);
  }
  return adds;
}

/** Short hash of what the tokenizer makes of a fixed text: tells a recipe's tokenizer from another one. */
export function tokenizerFingerprint(tokenizer: Tokenizer): string {
  let found = fingerprints.get(tokenizer);
  if (found === undefined) {
    found = sha256(canonicalJson([tokenizer.vocab, tokenizer.encode(PROBE, { specials: true })])).slice(0, 16);
    fingerprints.set(tokenizer, found);
  }
  return found;
}
