/** What a command loads before it has checked its input: an error of the input must not wait for libraries it does not need. */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { PACKAGE_ROOT } from '../../src/version.js';
import { temporaryFolder } from '../helpers/temporary.js';

const DUO = join(PACKAGE_ROOT, 'dist', 'bin', 'duo.js');
/** Each takes longer to load than the rest of the program together, or computes. */
const HEAVY = /\/node_modules\/(@tensorflow|@resvg|cli-progress|echarts|ink|react|yaml|zrender)\//;

const root = temporaryFolder();
writeFileSync(join(root, 'bad.tsv'), '1\tNaN\n');

interface Started {
  readonly status: number | null;
  readonly stderr: string;
  /** Addresses of all modules of files that were evaluated, of either kind. */
  readonly modules: readonly string[];
}

/** Runs the program in a process of its own. Node's record of executed code names every module, on all versions of Node. */
function start(...words: readonly string[]): Started {
  const coverage = mkdtempSync(join(root, 'coverage-'));
  const { status, stderr } = spawnSync(process.execPath, [DUO, ...words], {
    encoding: 'utf8',
    env: { ...process.env, NODE_V8_COVERAGE: coverage },
  });
  const records = readdirSync(coverage).map((name) => JSON.parse(readFileSync(join(coverage, name), 'utf8')) as Coverage);
  return {
    status,
    stderr,
    modules: records.flatMap(({ result }) => result.map(({ url }) => url)).filter((url) => url.startsWith('file:')),
  };
}

interface Coverage {
  readonly result: readonly { readonly url: string }[];
}

describe('an error of the input', () => {
  test.each([
    ['doctor', '--model', root],
    ['inspect', join(root, 'bad.tsv'), '--shape', '2x4'],
    ['calibrate', '--model', root],
    ['evaluate', '--model', root, '--pattern', join(root, 'bad.tsv')],
    ['run', '--model', root, '--prompt', 'a'],
    ['verify', '--model', root, '--golden', join(root, 'bad.tsv')],
  ])('is said by duo %s before TensorFlow is loaded', (...words) => {
    const { status, modules } = start(...words);
    expect(status).toBe(2);
    expect(modules.filter((url) => url.includes('/@tensorflow/'))).toEqual([]);
  });

  test.each([
    ['doctor', '--model', root],
    ['inspect', join(root, 'bad.tsv'), '--shape', '2x4'],
  ])('is said by duo %s before anything heavy is loaded', (...words) => {
    const { modules } = start(...words);
    expect(modules.some((url) => url.endsWith('/dist/src/errors.js'))).toBe(true);
    expect(modules.filter((url) => HEAVY.test(url))).toEqual([]);
  });

  test('is said without loading the other commands', () => {
    const commands = start('doctor', '--model', root).modules.flatMap((url) => /\/cli\/commands\/([a-z]+)\.js$/.exec(url)?.[1] ?? []);
    expect(commands.sort()).toEqual(['doctor', 'index']);
  });
});

test('the record of executed code names what is loaded', () => {
  expect(start('calibrate', '--print-config').modules.some((url) => HEAVY.test(url))).toBe(true);
});
