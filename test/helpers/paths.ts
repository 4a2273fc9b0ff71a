/** Where tests find things: the checkout, and `../shared` beside it, which a clone that stands alone lacks. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { PACKAGE_ROOT } from '../../src/version.js';

export const GOLDEN = join(PACKAGE_ROOT, 'test', 'golden');
export const DUO_MINI = join(PACKAGE_ROOT, 'models', 'duo-mini');
export const SHARED = join(PACKAGE_ROOT, '..', 'shared');

/** `describe` when ../shared is there, else a visible skip. */
export const describeShared = existsSync(SHARED) ? describe : describe.skip;
