/** Every broken pattern of the list, as `duo inspect` takes it. */
import { basename, dirname, join } from 'node:path';
import { describeShared } from '../helpers/paths.js';
import { duo } from '../helpers/terminal.js';
import type { Ran } from '../helpers/terminal.js';
import { entriesOf, MALFORMED, missingNames } from './expected.js';
import type { Entry } from './expected.js';

/** A config.json is one of the valid pattern beside it. */
function inspect({ path }: Entry): Promise<Ran> {
  const file = join(MALFORMED, path);
  const words = path.endsWith('.json') ? [join(dirname(file), 'ok.tsv'), '--config', file] : [file];
  return duo(['inspect', ...words, '--shape', '2x4']);
}

const entries = entriesOf('patterns').map((entry) => ({ ...entry, name: basename(entry.path) }));

describeShared('a pattern file', () => {
  test.each(entries.filter(({ expect }) => expect === 'ok'))('that is right is read: $name', async (entry) => {
    expect(await inspect(entry)).toMatchObject({ exitCode: 0, stderr: expect.not.stringContaining('error') as string });
  });

  test.each(entries.filter((entry) => entry.expect === 'error'))('that is wrong is refused: $name', async (entry) => {
    const { exitCode, stdout, stderr } = await inspect(entry);
    expect({ exitCode, stdout, missing: missingNames(entry, stderr) }).toEqual({ exitCode: 2, stdout: '', missing: [] });
    expect(stderr).toMatch(/^error: .+\n {2}given: .+\n(?:.+\n)* {2}expected: .+\n(?: {2}try: .+\n)?$/m);
  });

  test.each(entries.filter((entry) => entry.expect === 'ok-or-error'))('that is doubtful is not read in silence: $name', async (entry) => {
    const { exitCode, stderr } = await inspect(entry);
    expect([0, 2]).toContain(exitCode);
    // What readers skip (a comment, a blank line, a byte order mark) is no matter of doubt once it is skipped.
    if (/negative|above/.test(entry.name)) expect(missingNames(entry, stderr)).toEqual([]);
  });
});
