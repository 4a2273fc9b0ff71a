/**
 * SentencePiece-style BPE as merges. Such a vocabulary has scores in place of merges: of all neighbours that make a token,
 * those with the highest score are joined first, and of equal ones the leftmost (llama.cpp's llm_tokenizer_spm,
 * https://github.com/ggml-org/llama.cpp/blob/master/src/llama-vocab.cpp). So every way to cut a token in two is a merge,
 * and all merges of one score have one rank.
 */
import { at } from '../../errors.js';

export interface ScoredToken {
  readonly text: string;
  readonly score: number;
}

/** Characters of a token squared, over all tokens, at most: 25,000,000 for a vocabulary of 256,000. */
export const MAX_MERGE_WORK = 1 << 28;

/** What `mergeRanks` has to do for these tokens, to be held against MAX_MERGE_WORK. */
export function mergeWork(tokens: readonly ScoredToken[]): number {
  return tokens.reduce((sum, { text }) => sum + text.length ** 2, 0);
}

/** Merges (the JSON text of a pair) and their ranks, the lowest first. A half is a token, or one character, known or not. */
export function mergeRanks(tokens: readonly ScoredToken[]): Map<string, number> {
  const texts = new Set(tokens.map((token) => token.text));
  const scores = [...new Set(tokens.map((token) => token.score))].sort((a, b) => b - a);
  const rankOf = new Map(scores.map((score, rank) => [score, rank]));
  const ranks = new Map<string, number>();
  for (const { text, score } of tokens) {
    const characters = Array.from(text);
    const rank = rankOf.get(score) ?? scores.length;
    let left = '';
    for (let cut = 1; cut < characters.length; cut++) {
      left += at(characters, cut - 1);
      const right = text.slice(left.length);
      const halves = (cut === 1 || texts.has(left)) && (cut === characters.length - 1 || texts.has(right));
      if (halves) ranks.set(JSON.stringify([left, right]), rank);
    }
  }
  return ranks;
}
