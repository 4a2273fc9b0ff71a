/**
 * One set-up at a time per site: a file that holds the owner's process id and host, touched while the owner lives. A lock
 * whose process is gone, or that nobody touched for a minute (another host, another container), was left behind.
 */
import { mkdirSync, readFileSync, rmSync, statSync, utimesSync, writeFileSync } from 'node:fs';
import { hostname } from 'node:os';
import { dirname } from 'node:path';
import { EnvironmentError } from '../../errors.js';

const TOUCH_MS = 10_000;
const STALE_MS = 60_000;

/** Runs `body` while holding the lock. @throws EnvironmentError when another living process holds it. */
export async function withLock<T>(path: string, body: () => Promise<T>): Promise<T> {
  mkdirSync(dirname(path), { recursive: true });
  if (!take(path)) {
    if (!isLeftBehind(path)) throw busy(path);
    rmSync(path, { force: true });
    if (!take(path)) throw busy(path);
  }
  const touch = setInterval(() => utimesSync(path, new Date(), new Date()), TOUCH_MS).unref();
  try {
    return await body();
  } finally {
    clearInterval(touch);
    rmSync(path, { force: true });
  }
}

function take(path: string): boolean {
  try {
    writeFileSync(path, `${process.pid} ${hostname()}`, { flag: 'wx' });
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
    return false;
  }
}

function isLeftBehind(path: string): boolean {
  const stats = statSync(path, { throwIfNoEntry: false });
  if (stats === undefined || Date.now() - stats.mtimeMs > STALE_MS) return true;
  const [pid = '', host] = readFileSync(path, 'utf8').split(' ');
  return host === hostname() && (pid === String(process.pid) || !isAlive(Number(pid)));
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
  return !isZombie(pid);
}

/** A killed process whose parent never asked for its status, as in containers without an init. */
function isZombie(pid: number): boolean {
  try {
    // The state follows the program's name, which stands in parentheses.
    return /^ [ZX] /.test(readFileSync(`/proc/${pid}/stat`, 'utf8').replace(/^.*\)/s, ''));
  } catch {
    return false;
  }
}

function busy(path: string): EnvironmentError {
  return new EnvironmentError({
    code: 'setup_busy',
    what: 'another set-up is running',
    given: path,
    hint: 'wait for it to end, and run this again',
  });
}
