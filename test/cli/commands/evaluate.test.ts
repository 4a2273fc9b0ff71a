import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { PACKAGE_ROOT } from '../../../src/version.js';
import { writeCardPattern } from '../../helpers/card-pattern.js';
import { duo, resultOf } from '../../helpers/terminal.js';
import { temporaryFolder } from '../../helpers/temporary.js';

const folder = temporaryFolder();
const pattern = writeCardPattern(folder);
const quick = ['evaluate', '--pattern', pattern, '--lengths', '256', '--depths', '0,1', '--samples', '1'];

function lines(path: string): string[] {
  return existsSync(path) ? readFileSync(path, 'utf8').split('\n').slice(0, -1) : [];
}

test('a run writes rows, a summary and both heat maps, and a second one finds them all', async () => {
  const output = join(folder, 'run');
  const words = [...quick, '--retrieval-ratio', '0.5,0.25', '--baselines', 'dense,streaming', '--output', output];
  const first = await duo(words);
  expect(first.exitCode).toBe(0);
  expect(lines(join(output, 'results.jsonl'))).toHaveLength(2 * 4);
  for (const file of ['config.resolved.json', 'env.json', 'summary.json', 'heat-map-niah.svg', 'heat-map-niah.png']) {
    expect(statSync(join(output, file)).size).toBeGreaterThan(100);
  }
  expect(first.stdout).toMatch(/dense +pattern 50 % +pattern 25 %/);
  expect(first.stdout).toMatch(/sink 16, recent 64, seed 1/);

  const again = await duo([...words, '--format', 'json']);
  expect(resultOf(again)).toMatchObject({ resumed: true, complete: true, rows: 8, rowsPlanned: 8 });
  expect(lines(join(output, 'results.jsonl'))).toHaveLength(8);
});

test.each([
  ['0', 0],
  ['1', 3],
] as const)('--min-score %s on streaming heads alone exits with %i', async (minScore, exitCode) => {
  const output = join(folder, `gate-${minScore}`);
  const ran = await duo([...quick, '--depths', '0', '--retrieval-ratio', '0', '--min-score', minScore, '--output', output]);
  expect(ran.exitCode).toBe(exitCode);
  expect(ran.stdout).toMatch(exitCode === 0 ? /passed: niah, pattern 0 %: 0 % of the dense score/ : /failed: niah/);
});

test.each([
  ['no pattern', ['evaluate'], /no pattern was given/],
  ['a gate without the dense rows', [...quick, '--baselines', 'none', '--min-score', '0.9'], /dense is not among the baselines/],
  ['a cut given twice', [...quick, '--retrieval-ratio', '0.5', '--sparsity', '0.5'], /more than one way/],
  ['a suite there is none of', [...quick, '--suite', 'ruler'], /ruler/],
  ['a length beyond the model', [...quick, '--lengths', '16K'], /beyond the positions/],
  ['other settings in one directory', [...quick, '--samples', '2', '--output', join(folder, 'run')], /other settings/],
])('%s exits with 2', async (_what, words, message) => {
  const ran = await duo(words);
  expect(ran.stderr).toMatch(message);
  expect(ran.exitCode).toBe(2);
});

test('--dry-run says what a run costs and writes nothing', async () => {
  const output = join(folder, 'dry');
  const ran = await duo([...quick, '--dry-run', '--output', output, '--format', 'json']);
  expect(resultOf(ran)['plan']).toMatchObject({ cells: 2, rows: 4, promptTokens: 1024, contextTokens: 256 });
  expect(existsSync(output)).toBe(false);
});

test('--kv-budget is solved at the longest length', async () => {
  const ran = await duo([...quick, '--lengths', '512,1K', '--kv-budget', '60%', '--dry-run', '--format', 'json']);
  const { plan } = resultOf(ran) as { plan: { variants: { cacheBytes: number }[] } };
  const [dense, hybrid] = plan.variants.map(({ cacheBytes }) => cacheBytes);
  expect((hybrid ?? 0) / (dense ?? 1)).toBeGreaterThan(0.54);
  expect((hybrid ?? 0) / (dense ?? 1)).toBeLessThanOrEqual(0.6);
});

test('Ctrl-C keeps the rows, exits with 130 and says how to go on; the same command then does', async () => {
  const output = join(folder, 'stopped');
  const words = [...quick, '--samples', '4', '--output', output];
  const rows = join(output, 'results.jsonl');
  const child = spawn(process.execPath, [join(PACKAGE_ROOT, 'dist', 'bin', 'duo.js'), ...words], { stdio: ['ignore', 'pipe', 'pipe'] });
  const exited = once(child, 'exit');
  let stderr = '';
  child.stderr.on('data', (text: Buffer) => (stderr += text.toString()));
  while (lines(rows).length < 2 && child.exitCode === null) await sleep(20);
  child.kill('SIGINT');
  expect((await exited)[0]).toBe(130);
  const kept = lines(rows);
  expect(kept.length).toBeGreaterThanOrEqual(2);
  expect(kept.length).toBeLessThan(16);
  expect(stderr).toMatch(/same command again/);
  expect(JSON.parse(readFileSync(join(output, 'summary.json'), 'utf8'))).toMatchObject({ complete: false, rows: kept.length });

  const again = await duo(words);
  expect(again.exitCode).toBe(0);
  expect(lines(rows).slice(0, kept.length)).toEqual(kept);
  expect(lines(rows)).toHaveLength(16);
});
