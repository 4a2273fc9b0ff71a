/** The tokenizer and the chat template of a real GGUF file, where it has been fetched. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import { tokenizerFromGguf } from '../../../src/model/tokenizer/from-gguf.js';
import { readGguf } from '../../../src/model/gguf/read.js';
import type { Tokenizer } from '../../../src/model/model.js';
import { describeSmolLM2, SMOLLM2, SMOLLM2_GOLDEN } from '../../helpers/smollm2.js';

const ids = z.array(z.number());
const goldenSchema = z.object({
  cases: z.array(z.object({ text: z.string(), ids, decoded: z.string(), decoded_skip_special: z.string() })),
  chat_cases: z.array(
    z.object({
      messages: z.array(z.object({ role: z.enum(['system', 'user', 'assistant']), content: z.string() })),
      add_generation_prompt: z.boolean(),
      rendered: z.string(),
      ids,
    }),
  ),
});
type Golden = z.infer<typeof goldenSchema>;

function actual(tokenizer: Tokenizer, { cases, chat_cases: chats }: Golden): Golden {
  return {
    cases: cases.map(({ text, ids: golden }) => ({
      text,
      ids: tokenizer.encode(text, { specials: true }),
      decoded: tokenizer.decode(golden),
      decoded_skip_special: tokenizer.decode(golden, { skipSpecials: true }),
    })),
    chat_cases: chats.map(({ messages, add_generation_prompt: prompt }) => {
      const rendered = tokenizer.chat(messages, { addGenerationPrompt: prompt }) ?? '';
      return { messages, add_generation_prompt: prompt, rendered, ids: tokenizer.encode(rendered) };
    }),
  };
}

describeSmolLM2('the tokenizer of SmolLM2-135M-Instruct', () => {
  test('is exact for every text and every chat', () => {
    const golden = goldenSchema.parse(JSON.parse(readFileSync(join(SMOLLM2_GOLDEN, 'golden_tokenizer.json'), 'utf8')));
    const { metadata, tensors, path } = readGguf(SMOLLM2);
    const tokenizer = tokenizerFromGguf(metadata, tensors.get('token_embd.weight')?.shape[0] ?? 0, path);
    expect(golden.cases.length + golden.chat_cases.length).toBe(48);
    expect(actual(tokenizer, golden)).toEqual(golden);
  });
});
