/**
 * The fuzzer: broken files of every kind that the program reads, made from a seed, each of which must be read or refused
 * with an InputError, within a second, within 256 MB, and without a look outside its folder.
 *
 *   npm run fuzz -- --inputs 1000000 --seed 1
 *   npm run fuzz -- --kind gguf --seed 1 --case 1234 --keep folder    writes one input and reads it
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { filesOf, kindOf, runCase, writeCase } from './fuzz/case.js';
import type { Case } from './fuzz/case.js';
import { KINDS } from './fuzz/kinds/index.js';
import { runPool } from './fuzz/pool.js';

const MOST_SHOWN = 50;

const { values } = parseArgs({
  options: {
    inputs: { type: 'string', default: '100000' },
    seed: { type: 'string', default: '1' },
    kind: { type: 'string' },
    case: { type: 'string' },
    keep: { type: 'string' },
    threads: { type: 'string', default: String(Math.min(8, availableParallelism())) },
  },
});

function chosenKinds(name: string | undefined): readonly number[] {
  const rows = [...KINDS.keys()].filter((row) => name === undefined || KINDS[row]?.name === name);
  if (rows.length > 0) return rows;
  throw new Error(`no kind ${name}; there are ${KINDS.map((kind) => kind.name).join(', ')}`);
}

/** An input as a person can make it again. */
const command = (input: Case): string => `--kind ${kindOf(input).name} --seed ${input.seed} --case ${input.number}`;

async function runOne(input: Case, keep: string | undefined): Promise<number> {
  const folder = keep ?? mkdtempSync(join(tmpdir(), 'duo-fuzz-'));
  const { accepted, finding } = await runCase(input, folder);
  // Reading may have changed it: a run directory is written to.
  if (keep === undefined) rmSync(folder, { recursive: true });
  else writeCase(filesOf(input).files, folder);
  console.log(
    `${command(input)}: ${finding ?? (accepted ? 'accepted' : 'refused')}${keep === undefined ? '' : `; its files are in ${keep}`}`,
  );
  return finding === undefined ? 0 : 1;
}

async function runAll(seed: number, kinds: readonly number[], inputs: number, threads: number): Promise<number> {
  const folder = mkdtempSync(join(tmpdir(), 'duo-fuzz-'));
  const startedMs = performance.now();
  let [run, accepted, findings, shownMs] = [0, 0, 0, startedMs];
  const line = (): string => {
    const seconds = (performance.now() - startedMs) / 1000;
    return `${run} of ${inputs} inputs, ${accepted} accepted, ${findings} findings, ${Math.round(run / seconds)} inputs/s`;
  };
  await runPool({
    ...{ seed, kinds, inputs, threads, folder },
    onFinding: (input, finding) => {
      findings += 1;
      if (findings <= MOST_SHOWN) console.log(`FINDING ${command(input)}\n${finding}\n`);
    },
    onDone: (more, ofThem) => {
      [run, accepted] = [run + more, accepted + ofThem];
      if (performance.now() - shownMs < 10_000) return;
      shownMs = performance.now();
      console.log(line());
    },
  });
  rmSync(folder, { recursive: true });
  console.log(line());
  return findings === 0 ? 0 : 1;
}

const seed = Number(values.seed);
const kinds = chosenKinds(values.kind);
process.exitCode =
  values.case === undefined
    ? await runAll(seed, kinds, Number(values.inputs), Number(values.threads))
    : await runOne(
        { seed, kind: kinds[values.kind === undefined ? Number(values.case) % kinds.length : 0] ?? 0, number: Number(values.case) },
        values.keep,
      );
