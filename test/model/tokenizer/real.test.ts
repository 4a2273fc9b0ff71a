/** The tokenizers of real models, which are out of packages: skipped, visibly, where these cannot be had. */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { z } from 'zod';
import { readTokenizer } from '../../../src/model/tokenizer/read.js';
import { actualCases, readGoldenTokenizer } from '../../helpers/golden-tokenizer.js';
import { packageFile } from '../../helpers/package-file.js';
import { describeShared, SHARED } from '../../helpers/paths.js';

const folder = join(SHARED, 'golden', 'tokenizers');
const headSchema = z.object({ package: z.string(), version: z.string(), file: z.string(), sha256: z.string(), vocab_size: z.number() });
const names = existsSync(folder) ? readdirSync(folder).filter((name) => name.endsWith('.json')) : [];
const goldens = await Promise.all(
  names.map(async (name) => {
    const head = headSchema.parse(JSON.parse(readFileSync(join(folder, name), 'utf8')));
    return { name, head, found: await packageFile(head) };
  }),
);

describeShared('real tokenizers', () => {
  for (const { name, head, found } of goldens) {
    if ('missing' in found) {
      test.skip(`${name}: every case is exact (${head.package} cannot be had: ${found.missing})`, () => undefined);
      continue;
    }
    test(`${name}: every case is exact`, () => {
      const golden = readGoldenTokenizer(join(folder, name));
      expect(actualCases(readTokenizer(dirname(found.path), head.vocab_size), golden)).toEqual(golden);
    });
  }

  test('has the four that are known', () => {
    expect(names.length).toBeGreaterThanOrEqual(4);
  });
});
