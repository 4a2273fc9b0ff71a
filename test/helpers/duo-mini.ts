/** The embedded model's tokenizer, and what tests read off its ids. */
import type { ChatMessage, Tokenizer } from '../../src/model/model.js';
import { readTokenizer } from '../../src/model/tokenizer/read.js';
import { DUO_MINI } from './paths.js';

export const tokenizer: Tokenizer = readTokenizer(DUO_MINI, 1280);

/** The same tokenizer with a ChatML template, which duo-mini has not. */
export const chatTokenizer: Tokenizer = { ...tokenizer, chat: renderChatMl };

function renderChatMl(messages: readonly ChatMessage[]): string {
  return messages.map(({ role, content }) => `<|im_start|>${role}\n${content.trim()}<|im_end|>\n`).join('');
}

export function textOf(ids: ArrayLike<number>): string {
  return tokenizer.decode(Array.from(ids));
}

/** Text of the ids whose flag is 1. */
export function flaggedText(ids: Int32Array, flags: Uint8Array): string {
  return textOf(ids.filter((_, index) => flags[index] === 1));
}
