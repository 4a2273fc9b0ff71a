/**
 * `npm test`: installs what is missing, compiles, then lint, format, import rules and every test. All stages run, so that
 * one failure does not hide another. `npm test -- PATTERN` runs the tests whose path matches, and nothing else.
 */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { bootstrap } from './bootstrap.mjs';

const ROOT = dirname(dirname(fileURLToPath(import.meta.url)));
const bin = (...path) => join(ROOT, 'node_modules', ...path);

const STAGES = [
  ['lint', [bin('eslint', 'bin', 'eslint.js'), '-c', 'scripts/eslint.config.js', 'bin', 'src', 'scripts', 'test', '--max-warnings', '0']],
  ['format', [bin('prettier', 'bin', 'prettier.cjs'), '--check', '--log-level', 'warn', 'bin', 'src', 'scripts', 'test']],
  ['imports', [bin('dependency-cruiser', 'bin', 'dependency-cruise.mjs'), '--config', 'scripts/dependency-cruiser.cjs', 'bin', 'src']],
];

function node(args) {
  const { status } = spawnSync(process.execPath, args, { cwd: ROOT, stdio: 'inherit' });
  return status === 0;
}

function runStages() {
  return STAGES.filter(([name, args]) => {
    console.log(`\n${name}`);
    return !node(args);
  }).map(([name]) => name);
}

function runTests(patterns) {
  const folder = mkdtempSync(join(tmpdir(), 'duo-test-'));
  const report = join(folder, 'jest.json');
  node(['--no-warnings', '--experimental-vm-modules', bin('jest', 'bin', 'jest.js'), '--json', `--outputFile=${report}`, ...patterns]);
  try {
    const { numPassedTests, numFailedTests, numPendingTests, numFailedTestSuites, testResults } = JSON.parse(readFileSync(report, 'utf8'));
    // A suite that does not load has no failed tests of its own.
    const broken = testResults.filter(
      ({ status, assertionResults }) => status === 'failed' && !assertionResults.some((test) => test.status === 'failed'),
    );
    return { passed: numPassedTests, failed: numFailedTests + broken.length, skipped: numPendingTests, suites: numFailedTestSuites };
  } catch {
    return { passed: 0, failed: 1, skipped: 0, suites: 1 };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

const patterns = process.argv.slice(2);
bootstrap();
const failedStages = patterns.length === 0 ? runStages() : [];
const tests = runTests(patterns);
for (const stage of failedStages) console.log(`FAILED: ${stage}`);
const stages = patterns.length === 0 ? STAGES.length : 0;
const failed = tests.failed + failedStages.length;
console.log(`\n${tests.passed + stages - failedStages.length} passed, ${failed} failed, ${tests.skipped} skipped`);
process.exitCode = failed === 0 ? 0 : 1;
