import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { writePattern } from '../../../src/pattern/write.js';
import { DUO_MINI } from '../../helpers/paths.js';
import { calibratedPattern } from '../../helpers/patterns.js';
import { runDuo } from '../../helpers/run-duo.js';
import { temporaryFolder } from '../../helpers/temporary.js';

const root = temporaryFolder();
const ours = join(root, 'ours');
writePattern(ours, calibratedPattern(4, 4, 1));
const tsv = join(root, 'heads.tsv');
writeFileSync(tsv, '1\t0.5\t0\t0\r\n0\t1\t0.25\t0\r\n');

test.each(['duo', 'json', 'npy', 'safetensors'])('--to %s writes, says how to load it, and what was compared', async (to) => {
  const folder = join(root, `to-${to}`);
  const { exitCode, stdout, stderr } = await runDuo('export', ours, '--to', to, '--retrieval-ratio', '0.5', '--output', folder, '--verify');
  expect([exitCode, stderr]).toEqual([0, '']);
  expect(stdout).toMatch(/^wrote .+\n/);
  expect(stdout).toContain('retrieval ratio 50 % = sparsity 50 % = gate >= ');
  expect(stdout).toMatch(/load it with\n {2}.+/);
  expect(stdout).toMatch(/read back and compared, all the same:\n {2}gates: 4 x 4 float32, to the bit\n/);
});

test('as JSON names the files, the cut with its mask, and each comparison', async () => {
  const folder = join(root, 'as-json');
  const { stdout } = await runDuo('export', ours, '--to', 'npy', '--threshold', '0.5', '-o', folder, '--verify', '--format', 'json');
  expect(JSON.parse(stdout)).toMatchObject({
    schema: 'duo-export/1',
    result: {
      to: 'npy',
      written: [join(folder, 'gates.npy'), join(folder, 'windows.npy'), join(folder, 'mask.npy')],
      cut: { requested: { by: 'threshold', value: 0.5 } },
      verified: expect.arrayContaining([{ what: 'gates: 4 x 4 float32, to the bit', same: true }]),
    },
  });
});

test('--verbatim copies an imported TSV byte for byte', async () => {
  const folder = join(root, 'verbatim');
  const argv = ['export', tsv, '--sink', '4', '--recent', '16', '--verbatim', '--verify', '-o', folder];
  expect(await runDuo(...argv)).toMatchObject({ exitCode: 0 });
  expect(readFileSync(join(folder, 'full_attention_heads.tsv'))).toEqual(readFileSync(tsv));
});

test('--sink and --recent name the deployed window of the export', async () => {
  const folder = join(root, 'window');
  await runDuo('export', ours, '--sink', '4', '--recent', '32', '-o', folder);
  expect(JSON.parse(readFileSync(join(folder, 'config.json'), 'utf8'))).toMatchObject({ sink_size: 4, recent_size: 32 });
});

test('a budget in bytes takes the head size from the model', async () => {
  const imported = join(root, 'four.tsv');
  writeFileSync(imported, '1\t0.5\t0\t0\n'.repeat(4));
  const argv = ['export', imported, '--to', 'json', '--sink', '16', '--recent', '64', '--kv-budget', '4MiB', '--context', '1K'];
  expect((await runDuo(...argv, '-o', join(root, 'budget'))).stderr).toContain("needs the model's head size");
  const { exitCode, stdout } = await runDuo(...argv, '--model', DUO_MINI, '-o', join(root, 'budget'));
  expect([exitCode, stdout]).toEqual([0, expect.stringContaining('of 8 MiB')]);
});

test.each([
  ['no output', [ours], 'needs a directory to write to'],
  ['two cuts', [ours, '-o', join(root, 'x'), '--retrieval-ratio', '0.25,0.5'], 'one is needed'],
  ['--verbatim of a pattern that was no TSV', [ours, '-o', join(root, 'x'), '--verbatim'], 'was not imported from a TSV'],
  [
    '--verbatim to another format',
    [tsv, '--sink', '4', '--recent', '16', '-o', join(root, 'x'), '--verbatim', '--to', 'npy'],
    'copies a TSV',
  ],
  ['a TSV without windows', [tsv, '-o', join(root, 'x')], 'says nothing about windows'],
  ['a directory with files of other content', [ours, '-o', ours, '--sink', '1'], '--overwrite'],
])('%s is refused with exit code 2', async (_title, argv, message) => {
  const { exitCode, stderr } = await runDuo('export', ...argv);
  expect([exitCode, stderr]).toEqual([2, expect.stringContaining(message)]);
});
