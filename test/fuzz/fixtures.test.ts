/** What the fuzzer has found: each folder of fixtures, named by its kind and what was wrong with it, is read or refused. */
import { cpSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { KINDS } from '../../scripts/fuzz/kinds/index.js';
import { InputError } from '../../src/errors.js';
import { PACKAGE_ROOT } from '../../src/version.js';
import { temporaryFolder } from '../helpers/temporary.js';

const FIXTURES = join(PACKAGE_ROOT, 'test', 'fuzz', 'fixtures');

const root = temporaryFolder();

test.each(readdirSync(FIXTURES))('%s is read, or refused as an input', async (name) => {
  const kind = KINDS.find((one) => name.startsWith(`${one.name}-`));
  const folder = join(root, name);
  // Reading a run directory writes to it.
  cpSync(join(FIXTURES, name), folder, { recursive: true });
  const thrown = await Promise.resolve()
    .then(() => kind?.read(folder))
    .catch((error: unknown) => error);
  expect(kind).toBeDefined();
  expect(thrown === undefined || thrown instanceof InputError ? undefined : thrown).toBeUndefined();
});
