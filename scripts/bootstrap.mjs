/**
 * Makes a checkout runnable: installs what the lock file asks for when node_modules lacks it, then compiles. It uses
 * nothing but Node, needs no network when the dependencies are there, and is called by name from the npm scripts
 * (npm skips pre- and post-scripts under `ignore-scripts=true`).
 */
import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync, readdirSync, rmSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const ROOT = dirname(dirname(fileURLToPath(import.meta.url)));
const OLDEST_NODE = 20;

/** What npm should have installed and has not, by path; empty when node_modules agrees with the lock file. */
export function missingPackages(root) {
  const wanted = readLock(join(root, 'package-lock.json'));
  const installed = readLock(join(root, 'node_modules', '.package-lock.json'));
  return Object.entries(wanted)
    .filter(([path, entry]) => path !== '' && !entry.optional)
    .filter(([path, entry]) => installed[path]?.version !== entry.version || !existsSync(join(root, path, 'package.json')))
    .map(([path]) => path);
}

function readLock(path) {
  try {
    return JSON.parse(readFileSync(path, 'utf8')).packages ?? {};
  } catch {
    return {};
  }
}

/** Compiled files whose source is gone, relative to `root`: the compiler leaves them, and jest would still run them. */
export function staleFiles(root) {
  const dist = join(root, 'dist');
  if (!existsSync(dist)) return [];
  const sourceExists = (path) => ['.ts', '.tsx'].some((suffix) => existsSync(join(root, path.replace(/(\.d\.ts|\.js)$/, suffix))));
  return readdirSync(dist, { recursive: true })
    .filter((path) => /(\.d\.ts|\.js)$/.test(path) && !sourceExists(path))
    .map((path) => join('dist', path));
}

function run(title, command, args) {
  const { status, error } = spawnSync(command, args, { cwd: ROOT, stdio: ['ignore', 2, 2] });
  if (status === 0) return;
  console.error(`error: ${title} failed${error ? `: ${error.message}` : ''}`);
  process.exit(4);
}

/** The npm that runs this script, else the one on PATH. */
function npm(...args) {
  const running = process.env.npm_execpath;
  if (running?.endsWith('.js')) return [process.execPath, [running, ...args]];
  return [process.platform === 'win32' ? 'npm.cmd' : 'npm', args];
}

export function bootstrap() {
  if (Number(process.versions.node.split('.')[0]) < OLDEST_NODE) {
    console.error(`error: Node ${process.version} is too old\n  expected: Node ${OLDEST_NODE} or newer`);
    process.exit(4);
  }
  const missing = missingPackages(ROOT);
  if (missing.length > 0) {
    console.error(`installing dependencies (${missing.length} missing or changed, the first is ${missing[0]})`);
    run('npm ci', ...npm('ci'));
  }
  for (const path of staleFiles(ROOT)) rmSync(join(ROOT, path));
  run('tsc', process.execPath, [join(ROOT, 'node_modules', 'typescript', 'bin', 'tsc')]);
}

if (process.argv[1] === fileURLToPath(import.meta.url)) bootstrap();
