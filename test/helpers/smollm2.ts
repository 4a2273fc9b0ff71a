/** SmolLM2-135M-Instruct, where `npm run get:smollm2` has put it, and what transformers computed from it. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { PACKAGE_ROOT } from '../../src/version.js';
import { SHARED } from './paths.js';

export const SMOLLM2 = join(PACKAGE_ROOT, 'models', 'smollm2-135m-instruct', 'SmolLM2-135M-Instruct.Q4_1.gguf');
export const SMOLLM2_GOLDEN = join(SHARED, 'models', 'smollm2-135m-instruct', 'golden');

/** `describe` when model and goldens are there, else a visible skip. */
export const describeSmolLM2 = existsSync(SMOLLM2) && existsSync(SMOLLM2_GOLDEN) ? describe : describe.skip;
