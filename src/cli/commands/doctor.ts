/** `duo doctor`: what was found, what is missing, and the command that mends each. */
import { totalmem } from 'node:os';
import type { Check, RuntimeReport } from '../../device/inspect.js';
import { readWholeModel } from '../../model/read-whole.js';
import type { WholeModel } from '../../model/read-whole.js';
import { CACHE_ELEMENT_BYTES, cacheBytes } from '../../pattern/cache-bytes.js';
import { defineCommand } from '../command.js';
import { localModel } from '../model-path.js';
import { palette } from '../render.js';

export const doctorCommand = defineCommand({
  name: 'doctor',
  summary: 'say what this machine has, what is missing, and the command that mends it',
  flags: ['model'],
  examples: ['duo doctor', 'duo doctor --model models/duo-mini'],
  run: async (options, io) => {
    const { environment, signal } = io;
    // First, so that what is wrong with it is said at once.
    const model = options.model === undefined ? undefined : describeModel(await readWholeModel(await localModel(options, io), io));
    const { inspectRuntime } = await import('../../device/inspect.js');
    const report = await inspectRuntime({ environment, signal, device: options.device, threads: options.threads });
    const checks = [...report.checks, ...(model?.checks ?? [])];
    return {
      json: { usable: report.auto !== undefined, auto: report.auto ?? null, checks, devices: report.devices, model: model?.facts ?? null },
      text: `${checks.map((check) => checkLine(check, io.color)).join('')}\n${verdict(report)}\n`,
      exitCode: report.auto === undefined ? 4 : 0,
    };
  },
});

interface ModelReport {
  readonly facts: Readonly<Record<string, unknown>>;
  readonly checks: readonly Check[];
}

/** A model that was read whole: what it is, and what its weights and each token of its full cache take. */
function describeModel(model: WholeModel): ModelReport {
  const { config, id, path, hash, parameters, storedBytes, weightBytes, storedTypes, hasTokenizer, hasChatTemplate } = model;
  const shape = { headDim: config.headDim, bytesPerElement: CACHE_ELEMENT_BYTES, contextTokens: 1, sink: 0, recent: 1 };
  const cacheBytesPerToken = cacheBytes(shape, config.layers * config.kvHeads, 0);
  const checks: Check[] = [
    { name: 'model', status: 'ok', found: `${id}: ${describeShape(model)}` },
    { name: 'tensors', status: 'ok', found: `${describeTypes(model)}, every value finite` },
    describeWeights(model),
    describeTokenizer(model),
    { name: 'cache', status: 'note', found: `${cacheBytesPerToken.toLocaleString('en')} bytes per token when every head is full` },
  ];
  const { family, maxPositions } = config;
  const facts = { id, path, hash, family, parameters, storedBytes, storedTypes, weightBytes, cacheBytesPerToken, maxPositions };
  return { facts: { ...facts, config, hasTokenizer, hasChatTemplate }, checks };
}

function describeShape({ config }: WholeModel): string {
  const { family, layers, queryHeads, kvHeads, headDim, maxPositions, windows } = config;
  const windowed = windows.filter((window) => window !== null).length;
  const own = windowed === 0 ? '' : `, a sliding window in ${windowed} layers`;
  return `${family}, ${layers} layers, ${queryHeads} heads, ${kvHeads} KV heads of ${headDim}, ${maxPositions.toLocaleString('en')} positions${own}`;
}

function describeTypes({ storedTypes, storedBytes }: WholeModel): string {
  const types = storedTypes.map(({ dtype, tensors, bytes }) => `${tensors} ${dtype} (${megabytes(bytes)} MB)`);
  return `${types.join(', ')} of ${megabytes(storedBytes)} MB`;
}

function describeWeights({ weightBytes, largestTensorBytes, parameters }: WholeModel): Check {
  const found = `${megabytes(weightBytes)} MB in float32 (${parameters.toLocaleString('en')} parameters)`;
  if (weightBytes + largestTensorBytes <= totalmem()) return { name: 'weights', status: 'ok', found };
  return { name: 'weights', status: 'warning', found, mend: 'more memory than this machine has: take a smaller model' };
}

function describeTokenizer({ config, hasTokenizer, hasChatTemplate }: WholeModel): Check {
  if (!hasTokenizer)
    return {
      name: 'tokenizer',
      status: 'warning',
      found: 'none: the model runs on token ids only',
      mend: 'put its tokenizer.json beside config.json',
    };
  const template = hasChatTemplate ? 'with a chat template' : 'without a chat template';
  return { name: 'tokenizer', status: 'ok', found: `for ${config.vocab.toLocaleString('en')} tokens, ${template}` };
}

const megabytes = (bytes: number): string => (bytes / 1e6).toFixed(1);

const MARKS = { ok: '✔', note: '·', warning: '!', missing: '✖' } as const;

function checkLine({ name, status, found, mend }: Check, color: boolean): string {
  const paint = palette(color);
  const colors = { ok: paint.green, note: paint.dim, warning: paint.yellow, missing: paint.red } as const;
  const line = `${colors[status](MARKS[status])} ${name.padEnd(14)} ${found}\n`;
  return mend === undefined ? line : `${line}${' '.repeat(17)}${paint.cyan('try:')} ${mend}\n`;
}

function verdict({ auto, checks }: RuntimeReport): string {
  const mends = [...new Set(checks.filter((check) => check.status === 'missing').flatMap(({ mend }) => mend ?? []))];
  if (auto === undefined) return `nothing can compute here; try: ${mends.join('; ')}`;
  const slower = auto === 'wasm' && mends.length > 0 ? `, slower than TensorFlow; to set that up: ${mends.join('; ')}` : '';
  return `--device auto takes ${auto}${slower}`;
}
