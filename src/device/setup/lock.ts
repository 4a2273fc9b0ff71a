/** One set-up at a time per site. */
import { EnvironmentError } from '../../errors.js';
import { takeLock } from '../../lock.js';

/** Runs `body` while holding the lock. @throws EnvironmentError when another living process holds it. */
export async function withLock<T>(path: string, body: () => Promise<T>): Promise<T> {
  const release = takeLock(path);
  if (release === undefined) {
    throw new EnvironmentError({
      code: 'setup_busy',
      what: 'another set-up is running',
      given: path,
      hint: 'wait for it to end, and run this again',
    });
  }
  try {
    return await body();
  } finally {
    release();
  }
}
