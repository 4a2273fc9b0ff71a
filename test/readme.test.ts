/** Every command of the README is parsed by the real program, and run, in order, in one folder, where it says nothing of minutes. */
import { spawnSync } from 'node:child_process';
import { cpSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parse } from '../src/cli/program.js';
import { PACKAGE_ROOT } from '../src/version.js';
import { shellWords } from './helpers/shell-words.js';
import { temporaryFolder } from './helpers/temporary.js';

const README = readFileSync(join(PACKAGE_ROOT, 'README.md'), 'utf8');
const { scripts } = JSON.parse(readFileSync(join(PACKAGE_ROOT, 'package.json'), 'utf8')) as { scripts: Record<string, string> };
const folder = temporaryFolder();

/** Lines of the shell blocks, each with its comment. */
const lines = [...README.matchAll(/```sh\n([\s\S]*?)```/g)].flatMap((block) => (block[1] ?? '').split('\n')).filter((line) => line !== '');
const commands = lines
  .map((line) => /^(.*?)(?:\s+# (.*))?$/.exec(line))
  .map((match) => ({ line: match?.[1] ?? '', comment: match?.[2] ?? '' }));
const ours = commands.filter(({ line }) => line.startsWith('duo '));
// setup downloads; a comment that speaks of minutes or a download says that the command takes longer than a test may.
// `npm run test:readme` runs those, too; `npm run test:packed` installs the package as the README says.
const slow = (line: string, comment: string): boolean => line.startsWith('duo setup') || /\bmin|download/.test(comment);
const quick = ours.filter(({ line, comment }) => process.env['DUO_TEST_SLOW'] === '1' || !slow(line, comment));

describe('the README', () => {
  test('shows every kind of line that is tested here', () => {
    expect(ours.length).toBeGreaterThan(8);
    expect(quick.length).toBeGreaterThan(6);
  });

  test.each(ours)('has a command that the program parses: $line', async ({ line }) => {
    const quiet = { write: () => undefined };
    expect(await parse(shellWords(line).slice(1), { stdout: quiet, stderr: quiet })).toBeDefined();
  });

  test.each(commands.filter(({ line }) => line.startsWith('npm run ')))('names a script that exists: $line', ({ line }) => {
    expect(Object.keys(scripts)).toContain(line.split(' ')[2]);
  });

  test('has commands that work, one after the other', () => {
    for (const name of ['models', 'patterns', 'test/golden/duo-mini'])
      cpSync(join(PACKAGE_ROOT, name), join(folder, name), { recursive: true });
    for (const { line } of quick) {
      const { status, stderr } = spawnSync(process.execPath, [join(PACKAGE_ROOT, 'dist', 'bin', 'duo.js'), ...shellWords(line).slice(1)], {
        cwd: folder,
        encoding: 'utf8',
      });
      expect({ line, status, stderr: status === 0 ? '' : stderr }).toEqual({ line, status: 0, stderr: '' });
    }
  }, 300_000);
});
