/**
 * Our CPU times beside PyTorch's: processes of both in turn, so that what else the machine does hits both alike; the median
 * over all repeats of all rounds, the middle half of the times as spread, processor time over all threads, the peak memory
 * of the process.
 *
 *   node dist/scripts/bench/against-torch.js --python PYTHON [--out scripts/bench/runs/DATE-MACHINE] [--rounds 5] [--only step,decode,attention]
 *
 *   ... --model PATH    another model in place of duo-mini: prompt and decoded token
 *
 * PYTHON has torch and safetensors (pip install torch safetensors), for --model also transformers, accelerate and gguf. Fails when the two
 * disagree on the results.
 */
import { execFileSync } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { loadavg } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { PACKAGE_ROOT } from '../../src/version.js';
import type { BenchResult, Times } from './calibration-step.js';

interface Side {
  readonly name: string;
  readonly command: readonly string[];
}

interface Work {
  readonly title: string;
  readonly args: readonly string[];
  /** How far the two checks may be apart, of the larger; undefined: they need not agree. */
  readonly tolerance?: number;
}

const { values: flags } = parseArgs({
  options: {
    model: { type: 'string' },
    python: { type: 'string', default: 'python3' },
    out: { type: 'string' },
    rounds: { type: 'string', default: '5' },
    threads: { type: 'string', default: '2' },
    only: { type: 'string', default: 'step,decode,attention,prefill' },
  },
});

const ours = (kernels: string): Side => ({
  name: kernels === 'fused' ? 'duo' : `duo, ${kernels}`,
  command: [process.execPath, fileURLToPath(new URL('calibration-step.js', import.meta.url)), '--kernels', kernels],
});
const script = flags.model === undefined ? 'torch_step.py' : 'torch_model.py';
const TORCH: Side = { name: 'torch', command: [flags.python, join(PACKAGE_ROOT, 'scripts', 'bench', script)] };

const MODEL_WORK: readonly Work[] = [
  { title: 'prompt of 1,024 tokens', args: ['prefill', '--tokens', '1024', '--repeats', '3'], tolerance: 1e-3 },
  { title: 'decoded token at 1,024', args: ['decode', '--tokens', '1024', '--repeats', '50'], tolerance: 0 },
];

const DUO_MINI_WORK: readonly Work[] = [
  { title: 'step, 1,024 tokens, 150 labelled', args: ['step', '--tokens', '1024', '--labelled', '150', '--repeats', '5'], tolerance: 1e-3 },
  {
    title: 'step, 1,024 tokens, all labelled',
    args: ['step', '--tokens', '1024', '--labelled', '1024', '--repeats', '5'],
    tolerance: 1e-3,
  },
  { title: 'decoded token at 1,024', args: ['decode', '--tokens', '1024', '--repeats', '300'], tolerance: 0 },
  ...[512, 1024, 2048].map((tokens) => ({
    title: `attention, ${tokens} tokens`,
    args: ['attention', '--tokens', String(tokens), '--repeats', '10'],
    tolerance: 1e-4,
  })),
];

const WORK = (flags.model === undefined ? DUO_MINI_WORK : MODEL_WORK)
  .filter(({ args }) => flags.only.split(',').includes(args[0] ?? ''))
  .map((work) => (flags.model === undefined ? work : { ...work, args: [...work.args, '--model', flags.model] }));

function run({ command }: Side, work: Work): BenchResult {
  const [program = '', ...first] = command;
  const output = execFileSync(program, [...first, ...work.args, '--threads', flags.threads], {
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'ignore'],
  });
  return JSON.parse(output) as BenchResult;
}

function quantile(sorted: readonly number[], share: number): number {
  return sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] ?? NaN;
}

function compare(work: Work, sides: readonly Side[]): string[] {
  const results = new Map<string, BenchResult[]>(sides.map(({ name }) => [name, []]));
  for (let round = 0; round < Number(flags.rounds); round++) {
    for (const side of sides) results.get(side.name)?.push(run(side, work));
  }
  checkAgreement(work, [...results.values()].flat());
  raw.push({ work, load: loadavg(), results: Object.fromEntries(results) });
  const names = Object.keys(results.get('duo')?.[0]?.times ?? {});
  return names.flatMap((name) => sides.map((side) => row(work, name, side, results)));
}

function checkAgreement({ title, tolerance = 0 }: Work, results: readonly BenchResult[]): void {
  const checks = results.map(({ check }) => check);
  const [low, high] = [Math.min(...checks), Math.max(...checks)];
  if (!(high - low <= tolerance * Math.abs(high))) throw new Error(`${title}: results between ${low} and ${high} are not the same work`);
}

function row(work: Work, name: string, side: Side, results: ReadonlyMap<string, readonly BenchResult[]>): string {
  const sorted = (key: string, clock: keyof Times): number[] =>
    (results.get(key) ?? []).flatMap(({ times }) => times[name]?.[clock] ?? []).sort((a, b) => a - b);
  const [wall, torch, processor] = [sorted(side.name, 'wallMs'), sorted('torch', 'wallMs'), sorted(side.name, 'processorMs')];
  const cells = [
    quantile(wall, 0.5).toFixed(2),
    `${quantile(wall, 0.25).toFixed(2)}–${quantile(wall, 0.75).toFixed(2)}`,
    (quantile(wall, 0.5) / quantile(torch, 0.5)).toFixed(2),
    quantile(processor, 0.5).toFixed(2),
    Math.max(...(results.get(side.name) ?? []).map(({ peakRssMiB }) => peakRssMiB)).toFixed(0),
  ];
  return `| ${[work.title, name, side.name, ...cells].join(' | ')} |`;
}

const raw: unknown[] = [];
const table = [
  '| work | timed | by | median ms | middle half | of torch | processor ms | peak MiB |',
  '| --- | --- | --- | --- | --- | --- | --- | --- |',
];
for (const work of WORK) {
  const variants = work.title.endsWith('150 labelled') ? ['attention', 'plain'] : [];
  table.push(...compare(work, [ours('fused'), TORCH, ...variants.map(ours)]));
  console.log(table.join('\n'));
}
if (flags.out !== undefined) {
  mkdirSync(flags.out, { recursive: true });
  writeFileSync(join(flags.out, 'table.md'), `${table.join('\n')}\n`);
  writeFileSync(join(flags.out, 'raw.json'), `${JSON.stringify(raw)}\n`);
}
