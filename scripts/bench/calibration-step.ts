/**
 * One kind of work timed in this process, as one line of JSON; `against-torch.ts` runs it in turn with `torch_step.py` or `torch_model.py`.
 *
 *   node dist/scripts/bench/calibration-step.js step      --tokens 1024 --labelled 150   a calibration step of duo-mini
 *   node dist/scripts/bench/calibration-step.js decode    --tokens 1024                  a token decoded by duo-mini from a dense cache
 *   node dist/scripts/bench/calibration-step.js attention --tokens 1024                  8 query heads on 4 KV heads of 64, both ways
 *   node dist/scripts/bench/calibration-step.js prefill   --tokens 1024                  a prompt into a dense cache
 *
 * Further: --model PATH in place of duo-mini, --repeats 10, --threads 2, --kernels fused|attention|plain (attention: only attention is fused).
 */
import { parseArgs } from 'node:util';
import { HybridCache } from '../../src/cache/hybrid-cache.js';
import { twoWayStep } from '../../src/calibrate/two-way.js';
import type { Device, Tensor } from '../../src/device/device.js';
import { openDevice } from '../../src/device/runtime.js';
import { TfjsDevice } from '../../src/device/tfjs/device.js';
import { decodeStep } from '../../src/evaluate/decode.js';
import { prefill } from '../../src/evaluate/prefill.js';
import { defaultModelPath, loadModel } from '../../src/model/load.js';
import type { Model } from '../../src/model/model.js';

/** What both sides report. */
export interface BenchResult {
  /** By what was timed. */
  readonly times: Readonly<Record<string, Times>>;
  /** A number that both sides must agree on: the loss, or a sum over the results. */
  readonly check: number;
  readonly peakRssMiB: number;
  readonly description: string;
}

/** One number per repeat: on the wall, and of processor time over all threads, which other work on the machine disturbs less. */
export interface Times {
  readonly wallMs: readonly number[];
  readonly processorMs: readonly number[];
}

interface Settings {
  readonly tokens: number;
  readonly labelled: number;
  readonly repeats: number;
}

type Measured = Omit<BenchResult, 'peakRssMiB' | 'description'>;

const WINDOW = { sink: 16, recent: 64, block: 1 };
const WARM_UP = 2;
/** Operations of the fused device that `--kernels attention` gives back to the plain one. */
const PLAIN_AGAIN = [
  ...(['matmul', 'matmulBackward', 'rmsNorm', 'rmsNormBackward', 'rope', 'ropeBackward'] as const),
  ...(['swiglu', 'swigluBackward', 'mixGates', 'mixGatesBackward'] as const),
];

/** Numbers in [0, 1), the same in torch_step.py. */
function seeded(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 2 ** 32;
  };
}

function values(random: () => number, count: number): Float32Array {
  return Float32Array.from({ length: count }, () => 2 * random() - 1);
}

function tokenIds(count: number, vocab: number): Int32Array {
  const random = seeded(1);
  return Int32Array.from({ length: count }, () => 3 + Math.floor(random() * (vocab - 3)));
}

/** Runs `body` a few times for warmth, then `repeats` times for the record. */
async function timed(repeats: number, body: () => void | Promise<void>): Promise<Times> {
  for (let i = 0; i < WARM_UP; i++) await body();
  const times: { wallMs: number; processorMs: number }[] = [];
  for (let i = 0; i < repeats; i++) {
    const [wall, processor] = [performance.now(), process.cpuUsage()];
    await body();
    const { user, system } = process.cpuUsage(processor);
    times.push({ wallMs: performance.now() - wall, processorMs: (user + system) / 1000 });
  }
  return { wallMs: times.map(({ wallMs }) => wallMs), processorMs: times.map(({ processorMs }) => processorMs) };
}

async function measureStep(model: Model, { tokens, labelled, repeats }: Settings): Promise<Measured> {
  const { layers, kvHeads, vocab } = model.config;
  const ids = tokenIds(tokens, vocab);
  const random = seeded(2);
  const gates = Array.from({ length: layers }, () => Float32Array.from({ length: kvHeads }, () => 0.2 + 0.6 * random()));
  const positions = Int32Array.from({ length: labelled }, (_, i) => tokens - labelled + i);
  let check = 0;
  const step = await timed(repeats, () => {
    check = twoWayStep(model, ids, positions, gates, { window: WINDOW, fullBranch: 'own' }).distill;
  });
  return { times: { step }, check };
}

async function measureDecode(model: Model, { tokens, repeats }: Settings): Promise<Measured> {
  const { device, config } = model;
  const ids = tokenIds(tokens, config.vocab);
  const cache = HybridCache.dense(device, config, tokens + repeats + WARM_UP);
  let logits = await prefill(model, cache, ids, { prefill: { mode: 'streaming' } });
  let check = 0;
  const token = await timed(repeats, () => {
    const index = device.argmax(logits);
    const id = device.downloadInts(index)[0] ?? 0;
    const next = decodeStep(model, cache, id, 'exact');
    device.free(logits, index);
    logits = next;
    check += id;
  });
  return { times: { token }, check };
}

async function measurePrefill(model: Model, { tokens, repeats }: Settings): Promise<Measured> {
  const { device, config } = model;
  const ids = tokenIds(tokens, config.vocab);
  const cache = HybridCache.dense(device, config, tokens);
  let check = 0;
  const prompt = await timed(repeats, async () => {
    cache.reset();
    const logits = await prefill(model, cache, ids, { prefill: { mode: 'streaming' } });
    check = device.download(logits).reduce((sum, value) => sum + Math.abs(value), 0);
    device.free(logits);
  });
  return { times: { prompt }, check };
}

async function measureAttention(device: Device, { tokens, repeats }: Settings): Promise<Measured> {
  const [heads, kvHeads, headDim] = [8, 4, 64];
  const random = seeded(3);
  const make = (count: number): Tensor => device.upload(values(random, tokens * count * headDim), [tokens, count, headDim]);
  const inputs = { q: make(heads), k: make(kvHeads), v: make(kvHeads) };
  const dOut = make(heads);
  const forward = await timed(repeats, () => device.scope(() => void device.causalAttention(inputs)));
  const kept = device.causalAttention(inputs);
  const backward = await timed(repeats, () => device.scope(() => void device.causalAttentionBackward(dOut, inputs, kept)));
  const check = device.download(device.causalAttentionBackward(dOut, inputs, kept).dk).reduce((sum, value) => sum + Math.abs(value), 0);
  return { times: { forward, backward }, check };
}

async function open(kernels: string, threads: number): Promise<Device> {
  const environment = { ...process.env, DUO_KERNELS: kernels === 'plain' ? 'plain' : 'fused' };
  const fail = ({ message }: { readonly message: string }): never => {
    throw new Error(message);
  };
  const device = await openDevice({ device: 'tensorflow', threads, warn: fail, environment });
  if (kernels === 'attention' && device instanceof TfjsDevice) {
    for (const name of PLAIN_AGAIN) Object.defineProperty(device, name, { value: TfjsDevice.prototype[name].bind(device) });
  }
  return device;
}

async function measure(what: string | undefined, device: Device, settings: Settings): Promise<Measured> {
  if (what === 'attention') return measureAttention(device, settings);
  const model = await loadModel(flags.model ?? defaultModelPath(), device);
  if (what === 'step') return measureStep(model, settings);
  if (what === 'decode') return measureDecode(model, settings);
  if (what === 'prefill') return measurePrefill(model, settings);
  throw new Error(`step, decode, prefill or attention, not ${what}`);
}

const { values: flags, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    model: { type: 'string' },
    tokens: { type: 'string', default: '1024' },
    labelled: { type: 'string', default: '150' },
    repeats: { type: 'string', default: '10' },
    threads: { type: 'string', default: '2' },
    kernels: { type: 'string', default: 'fused' },
  },
});
const device = await open(flags.kernels, Number(flags.threads));
const settings = { tokens: Number(flags.tokens), labelled: Number(flags.labelled), repeats: Number(flags.repeats) };
const measured = await measure(positionals[0], device, settings);
const result: BenchResult = {
  ...measured,
  peakRssMiB: process.resourceUsage().maxRSS / 1024,
  description: `${device.description} (${flags.kernels}), Node ${process.versions.node}`,
};
process.stdout.write(`${JSON.stringify(result)}\n`);
