/** Every broken model of the list, as `duo doctor` reads it. */
import { basename, join } from 'node:path';
import { InputError } from '../../src/errors.js';
import type { Warning } from '../../src/errors.js';
import { readWholeModel } from '../../src/model/read-whole.js';
import { describeShared } from '../helpers/paths.js';
import { entriesOf, MALFORMED, missingNames } from './expected.js';

interface Outcome {
  /** What the error or the warnings say; empty when there was nothing to say. */
  readonly said: string;
  readonly error?: InputError;
}

async function read(path: string): Promise<Outcome> {
  const warnings: Warning[] = [];
  try {
    await readWholeModel(join(MALFORMED, path), { warn: (warning) => warnings.push(warning) });
    return { said: warnings.map(({ message }) => message).join('\n') };
  } catch (error) {
    if (!(error instanceof InputError)) throw error;
    const { what, given, expected } = error.facts;
    return { said: [what, given, expected].join('\n'), error };
  }
}

const entries = [...entriesOf('checkpoint'), ...entriesOf('gguf')].map((entry) => ({ ...entry, name: basename(entry.path) }));

describeShared('a model', () => {
  test.each(entries.filter(({ expect }) => expect === 'ok'))('that is right is read: $name', async ({ path }) => {
    expect((await read(path)).error).toBeUndefined();
  });

  test.each(entries.filter((entry) => entry.expect === 'error'))('that is wrong is refused: $name', async (entry) => {
    const { said, error } = await read(entry.path);
    expect(error).toBeInstanceOf(InputError);
    expect(missingNames(entry, said)).toEqual([]);
  });

  test.each(entries.filter(({ expect }) => expect === 'error'))(
    'says what was given, expected, and what to try: $name',
    async ({ path }) => {
      const { error } = await read(path);
      const { given, expected, hint } = error?.facts ?? {};
      expect({ given, expected, hint }).toEqual({ given: expect.any(String), expected: expect.any(String), hint: expect.any(String) });
    },
  );

  test.each(entries.filter((entry) => entry.expect === 'ok-or-error'))(
    'that is doubtful is not read in silence: $name',
    async ({ path }) => {
      expect((await read(path)).said).not.toBe('');
    },
  );
});
