/**
 * A lock between processes: a file that holds the owner's process id and host, touched while the owner lives. A lock whose
 * process is gone, or that nobody touched for a minute (another host, another container), was left behind and may be taken.
 */
import { mkdirSync, readFileSync, rmSync, statSync, utimesSync, writeFileSync } from 'node:fs';
import { hostname } from 'node:os';
import { dirname } from 'node:path';

const TOUCH_MS = 10_000;
const STALE_MS = 60_000;

/** Locks of this process: another file with its number was left by an earlier process of that number. */
const held = new Set<string>();

/** Takes the lock and returns what releases it; undefined when another living process holds it. */
export function takeLock(path: string): (() => void) | undefined {
  if (held.has(path)) return undefined;
  mkdirSync(dirname(path), { recursive: true });
  if (!create(path)) {
    if (!isLeftBehind(path)) return undefined;
    rmSync(path, { force: true });
    if (!create(path)) return undefined;
  }
  held.add(path);
  const timer = setInterval(() => touch(path), TOUCH_MS).unref();
  return () => {
    clearInterval(timer);
    held.delete(path);
    rmSync(path, { force: true });
  };
}

function create(path: string): boolean {
  try {
    writeFileSync(path, `${process.pid} ${hostname()}`, { flag: 'wx' });
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
    return false;
  }
}

function touch(path: string): void {
  try {
    utimesSync(path, new Date(), new Date());
  } catch {
    // Removed by hand: the work goes on, unprotected.
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
