/** A few of the broken inputs through the program in a process of its own: exit code, streams, and the wording as a whole. */
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { describeShared } from '../helpers/paths.js';
import { PACKAGE_ROOT } from '../../src/version.js';
import { MALFORMED } from './expected.js';

const DUO = join(PACKAGE_ROOT, 'dist', 'bin', 'duo.js');
const doctor = (path: string): readonly string[] => ['doctor', '--model', join(MALFORMED, path)];
const inspect = (path: string, ...more: readonly string[]): readonly string[] => [
  'inspect',
  join(MALFORMED, 'patterns', path),
  '--shape',
  '2x4',
  ...more,
];

describeShared('the program', () => {
  test.each([
    ['model.embed_tokens.weight holds infinity at row 7', doctor('checkpoint/inf-weights')],
    ['header length 18446744073709551615', doctor('checkpoint/header-length-huge')],
    ['leaves the model folder', doctor('checkpoint/shard-path-traversal')],
    ['Telepathy', doctor('checkpoint/tokenizer-unknown-pretokenizer')],
    ['1152921504606846976', doctor('gguf/huge-tensor-count.gguf')],
    ['row 1, column 3 is NaN', inspect('nan.tsv')],
    ['sink_size must be an integer, got 4.5', inspect('ok.tsv', '--config', join(MALFORMED, 'patterns', 'config-fraction.json'))],
  ])('says %s and exits with 2', (message, words) => {
    const { status, stdout, stderr } = spawnSync(process.execPath, [DUO, ...words], {
      encoding: 'utf8',
      env: { ...process.env, NO_COLOR: '1' },
    });
    expect({ status, stdout }).toEqual({ status: 2, stdout: '' });
    expect(stderr).toContain(message);
    expect(stderr).toMatch(/^error: .+\n {2}given: .+\n {2}expected: .+\n {2}try: .+\n$/s);
  });

  test('says a doubt on stderr and goes on', () => {
    const { status, stderr } = spawnSync(process.execPath, [DUO, ...inspect('negative.tsv')], {
      encoding: 'utf8',
      env: { ...process.env, NO_COLOR: '1' },
    });
    expect(status).toBe(0);
    expect(stderr).toContain('warning: ');
    expect(stderr).toContain('row 1, column 2 is -0.7');
  });
});
