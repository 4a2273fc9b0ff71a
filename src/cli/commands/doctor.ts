/** `duo doctor`: what was found, what is missing, and the command that mends each. */
import { totalmem } from 'node:os';
import type { Check, RuntimeReport } from '../../device/inspect.js';
import { readModelInfo } from '../../model/load.js';
import type { ModelInfo } from '../../model/load.js';
import { CACHE_ELEMENT_BYTES, cacheBytes } from '../../pattern/cache-bytes.js';
import { defineCommand } from '../command.js';
import { palette } from '../render.js';

export const doctorCommand = defineCommand({
  name: 'doctor',
  summary: 'say what this machine has, what is missing, and the command that mends it',
  flags: ['model'],
  examples: ['duo doctor', 'duo doctor --model models/duo-mini'],
  run: async (options, io) => {
    const { environment, signal } = io;
    // First, so that a wrong path is said at once.
    const model = options.model === undefined ? undefined : describeModel(readModelInfo(options.model, io.warn));
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

/** A model from its config and headers: what its weights and each token of its full cache take. */
function describeModel(info: ModelInfo): ModelReport {
  const { config, id, path, parameters, storedBytes, weightBytes } = info;
  const shape = { headDim: config.headDim, bytesPerElement: CACHE_ELEMENT_BYTES, contextTokens: 1, sink: 0, recent: 1 };
  const cacheBytesPerToken = cacheBytes(shape, config.layers * config.kvHeads, 0);
  const needed = weightBytes + info.largestTensorBytes;
  const size = `${config.layers} layers, ${config.queryHeads} heads, ${config.kvHeads} KV heads of ${config.headDim}`;
  const weights = `${megabytes(weightBytes)} MB in float32 (${parameters.toLocaleString('en')} parameters)`;
  const fits = needed <= totalmem();
  const checks: Check[] = [
    { name: 'model', status: 'ok', found: `${id}: ${size}, ${config.maxPositions.toLocaleString('en')} positions` },
    fits
      ? { name: 'weights', status: 'ok', found: weights }
      : { name: 'weights', status: 'warning', found: weights, mend: 'more memory than this machine has: take a smaller model' },
    { name: 'cache', status: 'note', found: `${cacheBytesPerToken.toLocaleString('en')} bytes per token when every head is full` },
  ];
  const facts = { id, path, parameters, storedBytes, weightBytes, cacheBytesPerToken, maxPositions: config.maxPositions };
  return { facts, checks };
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
