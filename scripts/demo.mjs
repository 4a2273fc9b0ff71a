/**
 * `npm run demo`: the main job on the embedded model, from a fresh clone. Installs what is missing, builds, sets TensorFlow
 * up where it can, then calibrate -> cut report -> export -> needles, each step the command a user would type.
 */
import { spawnSync } from 'node:child_process';
import { rmSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { bootstrap } from './bootstrap.mjs';

const ROOT = dirname(dirname(fileURLToPath(import.meta.url)));
const FOLDER = join('runs', 'demo');
const PATTERN = join(FOLDER, 'pattern');

const STEPS = [
  [
    'Find the retrieval heads: one gate per KV head, trained on passkeys hidden in public-domain text.',
    `calibrate --output ${PATTERN} --fresh`,
  ],
  ['What the gates say at every ratio.', `inspect ${PATTERN} --retrieval-ratio 0.5`],
  [
    'Hand the pattern to another runtime, and read it back.',
    `export ${PATTERN} --to duo --retrieval-ratio 0.5 --output ${join(FOLDER, 'export')} --verify`,
  ],
  [
    'Prove it: needles over the hybrid cache, half of the heads streaming, beside the dense model and all-streaming.',
    `evaluate --pattern ${PATTERN} --suite niah --lengths 1K,2K --depths 0,0.25,0.5,0.75,1 --samples 1 --retrieval-ratio 0.5 --baselines dense,streaming --output ${join(FOLDER, 'needles')}`,
  ],
];

function duo(line) {
  const { status } = spawnSync(process.execPath, [join('dist', 'bin', 'duo.js'), ...line.split(' ')], { cwd: ROOT, stdio: 'inherit' });
  return status ?? 1;
}

function say(text) {
  console.log(`\n${process.stdout.isTTY ? `\u001b[1m${text}\u001b[0m` : text}`);
}

function main() {
  bootstrap();
  say('Set TensorFlow up, once.');
  const started = Date.now();
  if (duo('setup') !== 0)
    console.log('TensorFlow cannot be set up here: the demo goes on with WebAssembly, which takes several minutes instead of one.');
  const ready = Date.now();
  rmSync(join(ROOT, FOLDER), { recursive: true, force: true });
  for (const [title, line] of STEPS) {
    say(title);
    console.log(`$ duo ${line}\n`);
    const status = duo(line);
    if (status !== 0) return status;
  }
  say('Done.');
  console.log(`The demo took ${Math.round((Date.now() - ready) / 1000)} s, after ${Math.round((ready - started) / 1000)} s of set-up.
  pattern   ${PATTERN}  (a DuoAttention pattern for every reader of full_attention_heads.tsv)
  export    ${join(FOLDER, 'export')}
  needles   ${join(FOLDER, 'needles')}  (results.jsonl, heat maps as SVG and PNG)

Try next:
  node dist/bin/duo.js calibrate --model ./a-llama-model --dry-run     your own model: how long, how much memory
  node dist/bin/duo.js evaluate --pattern ${PATTERN} --suite passkey --retrieval-ratio 0.5,0.25
  node dist/bin/duo.js run --pattern ${PATTERN} --retrieval-ratio 0.5 --prompt "The pass key is 71432. Remember it. What is the pass key? The pass key is" --compare`);
  return 0;
}

process.exitCode = main();
