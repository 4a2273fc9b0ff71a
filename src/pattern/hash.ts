/** Names a pattern by what decides its masks. */
import { canonicalJson, sha256 } from '../files.js';
import type { Pattern } from './schema.js';

/** SHA-256 over the raw gates: equal hashes give equal masks at every cut. */
export function patternHash(pattern: Pick<Pattern, 'gates'>): string {
  return sha256(canonicalJson(pattern.gates));
}
