/**
 * One calibration step and one decode token of duo-mini, beside PyTorch on the same machine: runs take turns, medians are printed.
 *
 *   node dist/scripts/bench/against-torch.js PYTHON [runs] [threads]
 *
 * PYTHON is an interpreter with torch and safetensors. The step: 1,024 tokens, the full branch on the student's own states, the last
 * 150 tokens labelled, gates between 0.1 and 0.9 so that nothing is skipped. The token: greedy, over a cache of 1,024 and 2,048 tokens.
 * Both processes idle while the other runs (OMP_WAIT_POLICY=passive).
 */
import { spawn } from 'node:child_process';
import { cpus } from 'node:os';
import { performance } from 'node:perf_hooks';
import { createInterface } from 'node:readline';
import { join } from 'node:path';
import { HybridCache } from '../../src/cache/hybrid-cache.js';
import { twoWayStep } from '../../src/calibrate/two-way.js';
import { openDevice } from '../../src/device/runtime.js';
import { at } from '../../src/errors.js';
import { decodeStep } from '../../src/evaluate/decode.js';
import { prefill } from '../../src/evaluate/prefill.js';
import { defaultModelPath, loadModel } from '../../src/model/load.js';
import type { Model } from '../../src/model/model.js';
import type { Mask } from '../../src/pattern/schema.js';
import { PACKAGE_ROOT, VERSION } from '../../src/version.js';

const TOKENS = 1024;
const LABELLED = 150;
const CONTEXTS = [1024, 2048] as const;
const WINDOW = { sink: 16, recent: 64, block: 1 };
/** The model card's six retrieval heads and the two after them: half of the heads. */
const HALF: Mask = [
  [false, false, false, true],
  [true, false, false, false],
  [true, false, true, false],
  [true, true, true, true],
];

interface Answer {
  readonly ms: number;
  readonly peakBytes: number;
  readonly torch: string;
}

type Ask = (request: Readonly<Record<string, unknown>>) => Promise<Answer>;

function openTorch(python: string, threads: number): { ask: Ask; end: () => void } {
  const worker = join(PACKAGE_ROOT, 'scripts', 'bench', 'torch_worker.py');
  const environment = { ...process.env, OMP_WAIT_POLICY: 'passive' };
  const child = spawn(python, [worker, PACKAGE_ROOT, String(threads)], { stdio: ['pipe', 'pipe', 'inherit'], env: environment });
  const answers = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const ask: Ask = async (request) => {
    child.stdin.write(`${JSON.stringify(request)}\n`);
    const { value } = await answers.next();
    return JSON.parse(String(value)) as Answer;
  };
  return { ask, end: () => child.stdin.end() };
}

const ids = Int32Array.from({ length: 2048 }, (_, i) => ((i * 7919) % 1200) + 3);

function ourStep(model: Model): number {
  const labelled = Int32Array.from({ length: LABELLED }, (_, i) => TOKENS - LABELLED + i);
  const gates = Array.from({ length: 4 }, (_, layer) =>
    Float32Array.from({ length: 4 }, (__, head) => 0.1 + (0.8 * (((layer * 4 + head) * 7) % 16)) / 15),
  );
  const start = performance.now();
  twoWayStep(model, ids.subarray(0, TOKENS), labelled, gates, { window: WINDOW, fullBranch: 'own' });
  return performance.now() - start;
}

/** Times the last token of a cache of `context` tokens; the rest is fed before the clock starts. */
async function ourToken(model: Model, context: number, mask?: Mask): Promise<number> {
  const { device, config } = model;
  const cache =
    mask === undefined
      ? HybridCache.dense(device, config, context)
      : new HybridCache(device, config, { mask, window: WINDOW, contextTokens: context });
  device.free(await prefill(model, cache, ids.subarray(0, context - 1), { prefill: { mode: 'streaming' } }));
  const start = performance.now();
  const logits = decodeStep(model, cache, 11, 'exact');
  const best = device.argmax(logits);
  device.downloadInts(best);
  const ms = performance.now() - start;
  device.free(logits, best);
  cache.free();
  return ms;
}

function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  return at(sorted, Math.floor(sorted.length / 2));
}

function row(name: string, ours: readonly number[], theirs: readonly number[]): Record<string, string> {
  const spread = (values: readonly number[]): string =>
    `${median(values).toFixed(2)} (${Math.min(...values).toFixed(2)}-${Math.max(...values).toFixed(2)})`;
  return { what: name, 'duo ms': spread(ours), 'PyTorch ms': spread(theirs), 'duo / PyTorch': (median(ours) / median(theirs)).toFixed(2) };
}

async function interleave(
  runs: number,
  ours: () => number | Promise<number>,
  theirs: () => Promise<number>,
): Promise<[number[], number[]]> {
  const [a, b]: [number[], number[]] = [[], []];
  for (let run = -2; run < runs; run++) {
    const [ourMs, theirMs] = [await ours(), await theirs()];
    if (run >= 0) [a[run], b[run]] = [ourMs, theirMs];
  }
  return [a, b];
}

const [python = 'python3', runsText = '15', threadsText = '2'] = process.argv.slice(2);
const [runs, threads] = [Number(runsText), Number(threadsText)];
const device = await openDevice({ device: 'tensorflow', threads, environment: process.env, warn: ({ message }) => console.error(message) });
const model = await loadModel(defaultModelPath(), device);
const torch = openTorch(python, threads);
const rows: Record<string, string>[] = [];
device.resetPeak();
const steps = await interleave(
  runs,
  () => ourStep(model),
  async () => (await torch.ask({ do: 'step', tokens: TOKENS, labelled: LABELLED })).ms,
);
rows.push(row(`calibration step, ${TOKENS} tokens`, ...steps));
const stepPeak = device.memory().peakBytes - model.weightBytes;
const theirStep = await torch.ask({ do: 'step', tokens: TOKENS, labelled: LABELLED });
for (const context of CONTEXTS) {
  const theirToken = async (): Promise<number> => (await torch.ask({ do: 'decode', context })).ms;
  rows.push(row(`decode token at ${context}, dense`, ...(await interleave(runs, () => ourToken(model, context), theirToken))));
  rows.push(
    row(
      `decode token at ${context}, half streaming (PyTorch dense)`,
      ...(await interleave(runs, () => ourToken(model, context, HALF), theirToken)),
    ),
  );
}
torch.end();
console.log(
  `duo ${VERSION}, ${device.description}; PyTorch ${theirStep.torch}, ${threads} threads; ${cpus()[0]?.model.trim()}, ${cpus().length} cores; ${runs} runs in turns, median (least-most)`,
);
console.table(rows);
console.log(`tensors of our step at their peak, weights not included: ${(stepPeak / 1e6).toFixed(1)} MB`);
console.log(
  `peak resident: duo ${(process.resourceUsage().maxRSS / 1024).toFixed(0)} MiB, PyTorch ${(theirStep.peakBytes / 2 ** 20).toFixed(0)} MiB`,
);
