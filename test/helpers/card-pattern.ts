/** The gates that duo-mini's card names, as a DuoAttention directory. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

export const CARD_GATES = [
  [0, 0, 0, 0.102],
  [0.274, 0, 0, 0],
  [0.989, 0, 0.94, 0],
  [0.919, 0.966, 0.788, 0.873],
];

export function writeCardPattern(folder: string): string {
  const path = join(folder, 'card-pattern');
  mkdirSync(path, { recursive: true });
  writeFileSync(join(path, 'full_attention_heads.tsv'), CARD_GATES.map((row) => `${row.join('\t')}\n`).join(''));
  writeFileSync(join(path, 'config.json'), JSON.stringify({ sink_size: 16, recent_size: 64 }));
  return path;
}
