/**
 * Runs the command line and the device tests under each Node version we support, from the npm package `node`, and prints
 * a table. Needs the npm registry; TensorFlow should be set up. `npm run test:nodes`, `npm run test:nodes -- 22 24`.
 */
import assert from 'node:assert/strict';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { PACKAGE_ROOT } from '../src/version.js';
import { check, finish, run, succeed, tinyCommand, withFolder } from './checks.js';

const MAJORS = process.argv.slice(2).length > 0 ? process.argv.slice(2) : ['20', '22', '24', '26'];
const DUO = join(PACKAGE_ROOT, 'dist', 'bin', 'duo.js');
const JEST = ['--no-warnings', '--experimental-vm-modules', join(PACKAGE_ROOT, 'node_modules', 'jest', 'bin', 'jest.js')];

/** What is shown of one version. */
interface Row {
  readonly version: string;
  readonly tensorflow: string;
  readonly wasm: string;
  readonly tests: string;
}

/** Installs a Node and returns its path. The package's own script fetches the binary, from the registry too. */
function installNode(folder: string, major: string): string {
  const prefix = join(folder, `node-${major}`);
  mkdirSync(prefix);
  succeed('npm', ['install', '--prefix', prefix, '--no-audit', '--no-fund', '--ignore-scripts=false', `node@${major}`], { cwd: prefix });
  return join(prefix, 'node_modules', 'node', 'bin', 'node');
}

/** Runs a command of ours that must succeed without a word on stderr, and returns its --format json. */
function duo(node: string, args: readonly string[]): Record<string, unknown> {
  const { code, stdout, stderr } = run(node, [DUO, ...args, '--format', 'json'], { cwd: PACKAGE_ROOT });
  assert.equal(code, 0, `duo ${args.join(' ')}\n${stdout.slice(-1_000)}${stderr.slice(-1_000)}`);
  assert.equal(stderr, '', `duo ${args.join(' ')} wrote to stderr`);
  return JSON.parse(stdout) as Record<string, unknown>;
}

/** Passes the self-test of a device and generates a few tokens on it. */
function smoke(node: string, device: 'tensorflow' | 'wasm', folder: string): string {
  const { result } = duo(node, ['doctor', '--device', device]) as { result: { auto: string | null } };
  assert.equal(result.auto, device);
  const { result: answer } = duo(node, tinyCommand(folder, device)) as { result: unknown };
  assert.match(JSON.stringify(answer), /duo-mini/);
  return 'ok';
}

/** Tests of devices and of set-up; `skipped` counts those for what this machine lacks. */
function deviceTests(node: string): string {
  const { code, stderr } = run(node, [...JEST, 'dist/test/device'], { cwd: PACKAGE_ROOT });
  assert.equal(code, 0, stderr.slice(-3_000));
  return /^Tests:\s+(.*)$/m.exec(stderr)?.[1] ?? 'unknown';
}

await withFolder(async (folder) => {
  const rows: Row[] = [];
  for (const major of MAJORS)
    await check(`Node ${major}`, () => {
      const node = installNode(folder, major);
      const version = succeed(node, ['--version']).trim();
      duo(node, ['setup']);
      rows.push({ version, tensorflow: smoke(node, 'tensorflow', folder), wasm: smoke(node, 'wasm', folder), tests: deviceTests(node) });
    });
  console.log('\n| Node | TensorFlow | wasm | device tests |\n| --- | --- | --- | --- |');
  for (const { version, tensorflow, wasm, tests } of rows) console.log(`| ${version} | ${tensorflow} | ${wasm} | ${tests} |`);
});
finish();
