/** Golden tokenizer cases, and what a tokenizer makes of them. */
import { readFileSync } from 'node:fs';
import { z } from 'zod';
import type { Tokenizer } from '../../src/model/model.js';

const ids = z.array(z.number());

const goldenSchema = z.object({
  cases: z.array(z.object({ text: z.string(), ids, ids_no_special: ids, decoded: z.string(), decoded_skip_special: z.string() })),
  decode_cases: z.array(z.object({ ids, decoded: z.string() })),
});

export type GoldenTokenizer = z.infer<typeof goldenSchema>;

export function readGoldenTokenizer(path: string): GoldenTokenizer {
  return goldenSchema.parse(JSON.parse(readFileSync(path, 'utf8')));
}

/** The cases of `golden` as `tokenizer` does them: equal to `golden` when every one is exact. */
export function actualCases(tokenizer: Tokenizer, golden: GoldenTokenizer): GoldenTokenizer {
  return {
    cases: golden.cases.map(({ text, ids: withSpecials }) => ({
      text,
      ids: tokenizer.encode(text, { specials: true }),
      ids_no_special: tokenizer.encode(text),
      decoded: tokenizer.decode(withSpecials),
      decoded_skip_special: tokenizer.decode(withSpecials, { skipSpecials: true }),
    })),
    decode_cases: golden.decode_cases.map((row) => ({ ids: row.ids, decoded: tokenizer.decode(row.ids) })),
  };
}
