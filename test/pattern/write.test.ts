import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { patternHash } from '../../src/pattern/hash.js';
import { patternJson } from '../../src/pattern/pattern-json.js';
import { parsePattern } from '../../src/pattern/schema.js';
import { patternFiles, writePattern } from '../../src/pattern/write.js';
import { calibratedPattern } from '../helpers/patterns.js';
import { temporaryFolder } from '../helpers/temporary.js';

const folder = temporaryFolder();

/** The settings of the reference's command line, in its order, as its published config.json files have them. */
const REFERENCE_SETTINGS =
  'model_name config_name dataset_name dataset_format split lr num_steps batch_size max_length context_length_min context_length_max ' +
  'context_lengths_num_intervals depth_ratio_num_intervals num_passkeys output_dir sink_size recent_size deploy_sink_size ' +
  'deploy_recent_size reg_weight initial_value exp_name enable_pp enable_tp disable_wandb min_needle_depth_ratio max_needle_depth_ratio ' +
  'save_steps gradient_accumulation_steps resume rope_theta device streaming_attn_implementation supervision n_samples task attn_load_dir ' +
  'threshold sparsity passkey_length context_length generation_length stride_length prefilling_chunk_size seed';

describe('pattern.json', () => {
  test('is the same bytes for the same pattern, whatever the order of its keys', () => {
    const pattern = calibratedPattern();
    const reversed = (value: unknown): unknown =>
      value === null || typeof value !== 'object'
        ? value
        : Array.isArray(value)
          ? value.map(reversed)
          : Object.fromEntries(
              Object.entries(value)
                .reverse()
                .map(([key, item]) => [key, reversed(item)]),
            );
    expect(patternJson(reversed(pattern) as typeof pattern)).toBe(patternJson(pattern));
  });

  test('puts a row of gates on a line, in the fewest digits that name the float32', () => {
    const gates = [
      [Math.fround(0.1), 1, -0, Math.fround(1 / 3)],
      [Math.fround(-1.5e-5), 2 ** -149, 0.5, 1],
    ];
    const text = patternJson({ ...calibratedPattern(), gates });
    expect(text).toContain('\n    [0.1, 1, 0, 0.33333334],\n    [-0.000015, 1e-45, 0.5, 1]\n');
  });

  test('does not take a text that looks like a list of numbers for one', () => {
    const pattern = parsePattern(calibratedPattern(), 'test');
    const note = '[\n  1,\n  2\n]';
    const calibration = pattern.calibration && { ...pattern.calibration, settings: { note } };
    const read = parsePattern(JSON.parse(patternJson({ ...pattern, calibration })), 'test');
    expect(read.calibration?.settings).toEqual({ note });
  });

  test('holds neither a date nor the folder it is in', () => {
    writePattern(join(folder, 'some-folder'), calibratedPattern());
    const text = readFileSync(join(folder, 'some-folder', 'pattern.json'), 'utf8');
    expect(text).not.toMatch(/\d{4}-\d\d-\d\d|some-folder/);
  });
});

describe('the hash', () => {
  const base = parsePattern(calibratedPattern(), 'test');

  test('is of what decides masks and results, not of how they were found', () => {
    const { calibration: _gone, ...bare } = base;
    expect(patternHash({ ...bare, tool: 'another' })).toBe(patternHash(base));
    expect(patternHash(base)).toMatch(/^[0-9a-f]{64}$/);
  });

  test('changes with one bit of one gate and with a window', () => {
    const nudged = base.gates.map((row, i) => row.map((gate, j) => (i + j === 0 ? Math.fround(gate + 6e-8) : gate)));
    expect(patternHash({ ...base, gates: nudged })).not.toBe(patternHash(base));
    expect(patternHash({ ...base, windows: { deployed: { sink: 16, recent: 65, block: 1 } } })).not.toBe(patternHash(base));
  });
});

describe('config.json', () => {
  const config = (sparsity?: number, pattern = calibratedPattern()): Record<string, unknown> =>
    JSON.parse(patternFiles(pattern, sparsity).get('config.json') ?? '') as Record<string, unknown>;

  test('has all settings of the reference, windows filled in, and what is known of the calibration', () => {
    expect(Object.keys(config()).join(' ')).toBe(REFERENCE_SETTINGS);
    expect(config()).toMatchObject({
      model_name: 'tiny',
      sink_size: 16,
      recent_size: 64,
      deploy_sink_size: 16,
      deploy_recent_size: 64,
      lr: 0.02,
      num_steps: 40,
      num_passkeys: 5,
      seed: 1,
      sparsity: null,
      output_dir: null,
    });
  });

  test('gives the deployed window to readers that know only sink_size, where it is not the calibrated one', () => {
    const windows = { calibrated: { sink: 128, recent: 256, block: 128 }, deployed: { sink: 16, recent: 64 } };
    expect(config(undefined, { ...calibratedPattern(), windows })).toMatchObject({
      sink_size: 16,
      streaming_attn_implementation: 'blocksparse',
    });
  });

  test('keeps the settings an imported pattern came with, but for windows and the cut', () => {
    const source = { format: 'duo-attention', file: 'x.tsv', sha256: '', config: { lr: 0.5, sink_size: 1, custom: true, sparsity: null } };
    expect(config(0.75, { ...calibratedPattern(), source })).toMatchObject({ lr: 0.5, sink_size: 16, custom: true, sparsity: 0.75 });
  });
});

test('writing leaves no temporary file, and replaces an earlier pattern', () => {
  writePattern(join(folder, 'again'), calibratedPattern(2, 4, 1));
  writePattern(join(folder, 'again'), calibratedPattern(2, 4, 9));
  expect(readdirSync(join(folder, 'again'))).toHaveLength(3);
  expect(readFileSync(join(folder, 'again', 'pattern.json'), 'utf8')).toBe(patternJson(calibratedPattern(2, 4, 9)));
});
