import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { writePattern } from '../../../src/pattern/write.js';
import { DUO_MINI, describeShared, SHARED } from '../../helpers/paths.js';
import { calibratedPattern } from '../../helpers/patterns.js';
import { runDuo } from '../../helpers/run-duo.js';
import { temporaryFolder } from '../../helpers/temporary.js';

const root = temporaryFolder();
const ours = join(root, 'ours');
const other = join(root, 'other');
writePattern(ours, calibratedPattern(4, 4, 1));
writePattern(other, calibratedPattern(4, 4, 5));
const tsv = join(root, 'heads.tsv');
writeFileSync(tsv, '1\t0.5\t0\t0\n0\t1\t0.25\t0\n');

async function json(...argv: readonly string[]): Promise<Record<string, unknown>> {
  const { exitCode, stdout, stderr } = await runDuo(...argv, '--format', 'json');
  expect([exitCode, stderr]).toEqual([0, '']);
  return (JSON.parse(stdout) as { result: Record<string, unknown> }).result;
}

describe('duo inspect', () => {
  test('shows the map, the cut table and where the pattern comes from', async () => {
    const { exitCode, stdout, stderr } = await runDuo('inspect', ours);
    expect([exitCode, stderr]).toEqual([0, '']);
    expect(stdout).toMatch(/^tiny: 4 layers x 4 KV heads = 16, pattern [0-9a-f]{12}\nwindows: sink 16, recent 64 \(calibrated with/);
    expect(stdout).toContain(
      'calibrated: 40 steps, seed 1, 2; final losses: distillation 2.50e-1, regularization 5.00e-1; data bbbbbbbbbbbb',
    );
    expect(stdout).toMatch(/ratio +full heads +gate at the cut +within 1\/128 +exact ties +seeds agree +checkpoints agree\n87.5 % +14 /);
  });

  test("shows the model's own windows, and counts the cache by them", async () => {
    const within = join(root, 'within');
    const pattern = calibratedPattern(4, 4, 1);
    writePattern(within, { ...pattern, model: { ...pattern.model, layerWindows: [100, null, 512, 100] } });
    const { stdout } = await runDuo('inspect', within, '--retrieval-ratio', '1', '--context', '1K');
    expect(stdout).toContain("\nthe model's own windows: 100, 512 tokens in 3 of 4 layers\n");
    expect(stdout).toMatch(/\ncache: 3.39 MiB of 3.39 MiB/); // (100 + 1024 + 512 + 100) of 4 x 1024 rows, 8 MiB
  });

  test('echoes ratio, sparsity, gate and bytes of each cut asked for', async () => {
    const { stdout } = await runDuo('inspect', ours, '--retrieval-ratio', '0.25,0.5', '--context', '1K');
    expect(stdout).toContain('mask at ratio 25 %, full heads');
    expect(stdout).toMatch(
      /retrieval ratio 25 % = sparsity 75 % = gate >= [\d.]+: 4 of 16 KV heads full\ncache: 2.47 MiB of 8 MiB \(30.9 %\) at 1,024 tokens, 32-bit/,
    );
    expect(stdout).toMatch(/retrieval ratio 50 % = sparsity 50 % = gate >= [\d.]+: 8 of 16 KV heads full\n/);
  });

  test('as JSON has every row of the cut report, the raw gates, and the masks', async () => {
    const result = await json('inspect', ours, '--kv-budget', '60%');
    expect(result).toMatchObject({
      pattern: { model: { id: 'tiny' }, calibration: { steps: 40 }, hash: expect.stringMatching(/^[0-9a-f]{64}$/) },
      cuts: [{ requested: { by: 'kvBudget' }, contextTokens: 8192, fullHeads: 9, mask: expect.any(Array) }],
    });
    expect((result['report'] as { rows: unknown[] }).rows).toHaveLength(17);
  });

  test('holds the pattern against a shape or a model', async () => {
    expect(await runDuo('inspect', ours, '--shape', '4x4')).toMatchObject({ exitCode: 0 });
    expect(await runDuo('inspect', ours, '--model', DUO_MINI)).toMatchObject({ exitCode: 0 });
    const { exitCode, stderr } = await runDuo('inspect', tsv, '--model', DUO_MINI);
    expect([exitCode, stderr]).toEqual([2, expect.stringContaining('the pattern has 2 rows, the model has 4 layers')]);
    expect(await runDuo('inspect', ours, '--shape', '4by4')).toMatchObject({ exitCode: 2 });
  });

  test('takes the windows of a bare TSV from --config, and says so when it has none', async () => {
    const config = join(root, 'windows.json');
    writeFileSync(config, '{"sink_size": 4, "recent_size": 16}');
    expect((await runDuo('inspect', tsv, '--config', config)).stdout).toContain('windows: sink 4, recent 16');
    const { exitCode, stdout, stderr } = await runDuo('inspect', tsv);
    expect([exitCode, stdout, stderr]).toEqual([0, expect.stringContaining('sink 64, recent 256'), expect.stringContaining('warning:')]);
  });

  test('an error that quotes a file cannot steer the terminal', async () => {
    const path = join(root, 'hostile.json');
    writeFileSync(path, '\u001b[2Jx');
    const { exitCode, stderr } = await runDuo('inspect', path);
    expect([exitCode, stderr.includes('\u001b')]).toEqual([2, false]);
  });

  test('refuses two ways to cut at once', async () => {
    const { exitCode, stderr } = await runDuo('inspect', ours, '--sparsity', '0.5', '--threshold', '0.5');
    expect([exitCode, stderr]).toEqual([2, expect.stringContaining('more than one way')]);
  });
});

describe('duo inspect diff', () => {
  test('compares two patterns, its flags its own', async () => {
    const { exitCode, stdout } = await runDuo('inspect', 'diff', ours, other, '--retrieval-ratio', '0.25');
    expect(exitCode).toBe(0);
    expect(stdout).toMatch(/^A: tiny, pattern [0-9a-f]{12} \(.*\)\nB: tiny/);
    expect(stdout).toMatch(/Spearman -?\d\.\d{4}; over the \d+ heads above 0.01 in either/);
    expect(stdout).toContain('heads at ratio 25 %');
    expect(stdout).toMatch(/layer \d head \d: full in [AB] only \(A -?[\d.e-]+, B -?[\d.e-]+\)/);
  });

  test('names itself in its JSON', async () => {
    const { stdout } = await runDuo('inspect', 'diff', ours, other, '--format', 'json');
    expect(JSON.parse(stdout)).toMatchObject({ schema: 'duo-inspect-diff/1' });
  });

  test('as JSON has the overlap at every ratio and every flipped head', async () => {
    const result = await json('inspect', 'diff', ours, other);
    const rows = result['rows'] as { flips: number }[];
    expect(rows).toHaveLength(17);
    expect(result['flips']).toHaveLength(rows[8]?.flips ?? NaN);
  });

  test('reads a directory of ours beside a TSV, and refuses another shape', async () => {
    const { exitCode, stderr } = await runDuo('inspect', 'diff', ours, tsv);
    expect([exitCode, stderr]).toEqual([2, expect.stringContaining('different shapes')]);
  });
});

describeShared('duo inspect on malformed patterns', () => {
  const folder = join(SHARED, 'golden', 'malformed');

  test('ends as is expected of each: 2 with one clear error, or 0', async () => {
    const entries = JSON.parse(readFileSync(join(folder, 'EXPECTED.json'), 'utf8')) as { path: string; expect: string }[];
    for (const { path, expect: wish } of entries.filter((entry) => entry.path.startsWith('patterns/'))) {
      const config = path.endsWith('.json') ? ['--config', join(folder, path)] : [];
      const file = config.length > 0 ? join(folder, 'patterns', 'ok.tsv') : join(folder, path);
      const { exitCode, stderr } = await runDuo('inspect', file, ...config, '--shape', '2x4');
      expect([path, exitCode]).toEqual([path, wish === 'ok' ? 0 : wish === 'error' ? 2 : expect.any(Number)]);
      if (exitCode === 2) expect([path, stderr]).toEqual([path, expect.stringMatching(/^(warning: .*\n( .*\n)*)*error: .+\n {2}given: /)]);
    }
  });
});
