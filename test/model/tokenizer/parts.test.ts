/** Every part that a tokenizer.json may have, against the tokenizers library (scripts/golden/make_tokenizers.py). */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import { checkTokenizerJson } from '../../../src/model/tokenizer/check.js';
import { makeTokenizer } from '../../../src/model/tokenizer/make.js';
import { GOLDEN } from '../../helpers/paths.js';

const ids = z.array(z.number());
const json = z.record(z.string(), z.unknown());
const golden = z
  .object({
    strings: z.array(z.string()),
    bases: z.object({ bytes: json, pieces: json }),
    cases: z.array(
      z.object({
        name: z.string(),
        base: z.enum(['bytes', 'pieces']),
        changes: json,
        /** Ids with special tokens, ids without, and the text of the former with and without special tokens. */
        results: z.array(z.tuple([ids, ids, z.string(), z.string()])),
      }),
    ),
  })
  .parse(JSON.parse(readFileSync(join(GOLDEN, 'tokenizer-parts.json'), 'utf8')));

const VOCAB = 1000;

test.each(golden.cases)('$name: ids and texts are exact', ({ base, changes, results }) => {
  const original = golden.bases[base];
  const model = { ...json.parse(original['model']), ...json.parse(changes['model'] ?? {}) };
  const checked = checkTokenizerJson({ ...original, ...changes, model }, VOCAB, 'tokenizer.json');
  const tokenizer = makeTokenizer({ json: checked, template: undefined, vocab: VOCAB, path: 'tokenizer.json' });
  const actual = golden.strings.map((text) => {
    const encoded = tokenizer.encode(text, { specials: true });
    return [encoded, tokenizer.encode(text), tokenizer.decode(encoded), tokenizer.decode(encoded, { skipSpecials: true })];
  });
  expect(actual).toEqual(results);
});
