import { existsSync, utimesSync } from 'node:fs';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { withLock } from '../../../src/device/setup/lock.js';
import { removeTemporaryFolders, temporaryFolder, write } from './fakes.js';

afterEach(removeTemporaryFolders);

/** No living process has this number: the highest is 2^22. */
const DEAD = 2 ** 30;
const LIVING = process.ppid;

describe('the lock of a set-up', () => {
  test('is held while the work runs and gone afterwards, also after a failure', async () => {
    const path = join(temporaryFolder(), 'a', 'lock');
    await withLock(path, () => Promise.resolve(expect(existsSync(path)).toBe(true)));
    await expect(withLock(path, () => Promise.reject(new Error('work failed')))).rejects.toThrow('work failed');
    expect(existsSync(path)).toBe(false);
  });

  test.each<[string, string, number, boolean]>([
    ['a living process of this host', `${LIVING} ${hostname()}`, 0, false],
    ['a dead process of this host', `${DEAD} ${hostname()}`, 0, true],
    ['this very process, whose number was another one’s', `${process.pid} ${hostname()}`, 0, true],
    ['another host that still touches it', `${DEAD} another`, 0, false],
    ['another host that stopped touching it', `${LIVING} another`, 120, true],
    ['a living process that stopped touching it, so another one', `${LIVING} ${hostname()}`, 120, true],
    ['half a line', '12', 120, true],
  ])('when it names %s', async (_case, content, ageSeconds, isTaken) => {
    const path = write(join(temporaryFolder(), 'lock'), content);
    const then = new Date(Date.now() - ageSeconds * 1_000);
    utimesSync(path, then, then);
    const work = withLock(path, () => Promise.resolve('worked'));
    if (isTaken) expect(await work).toBe('worked');
    else await expect(work).rejects.toMatchObject({ code: 'setup_busy' });
  });
});
