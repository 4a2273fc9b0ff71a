/** Names a pattern by what decides its masks and its results. */
import { canonicalJson, sha256 } from '../files.js';
import type { Pattern } from './schema.js';

/** SHA-256, hex, over the canonical JSON of model, raw gates and windows: how the gates were found does not change it. */
export function patternHash(pattern: Pattern): string {
  const { schema, model, gates, windows } = pattern;
  return sha256(canonicalJson({ schema, model, gates, windows }));
}
