/** One set-up at a time per site: a file that holds the process's id. */
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { EnvironmentError } from '../../errors.js';

/** Runs `body` while holding the lock. @throws EnvironmentError when another living process holds it. */
export async function withLock<T>(path: string, body: () => Promise<T>): Promise<T> {
  mkdirSync(dirname(path), { recursive: true });
  if (!take(path)) {
    // Its process is gone: the set-up was killed.
    rmSync(path, { force: true });
    if (!take(path)) throw busy(path, 'another process');
  }
  try {
    return await body();
  } finally {
    rmSync(path, { force: true });
  }
}

/** False when a dead process left the lock behind. */
function take(path: string): boolean {
  try {
    writeFileSync(path, String(process.pid), { flag: 'wx' });
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
    const owner = Number(readFileSync(path, 'utf8'));
    if (isAlive(owner)) throw busy(path, `process ${owner}`);
    return false;
  }
}

function isAlive(pid: number): boolean {
  if (!Number.isSafeInteger(pid) || pid <= 0) return false;
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}

function busy(path: string, owner: string): EnvironmentError {
  return new EnvironmentError({
    code: 'setup_busy',
    what: `another set-up is running (${owner})`,
    given: path,
    hint: 'wait for it to end, and run this again',
  });
}
