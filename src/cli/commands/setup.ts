/** `duo setup`: sets TensorFlow up; running it again repairs what was interrupted, or does nothing. */
import { setUpTensorflow } from '../../device/setup/setup.js';
import type { SetupResult, StepResult } from '../../device/setup/setup.js';
import { defineCommand } from '../command.js';
import { palette } from '../render.js';
import { formatDuration } from '../ui/progress.js';

const TITLES = {
  package: '@tensorflow/tfjs-node-gpu',
  libtensorflow: 'libtensorflow',
  binding: 'binding',
  operations: 'operations',
  load: 'first load',
} as const;

export const setupCommand = defineCommand({
  name: 'setup',
  summary: 'set TensorFlow up: find or download libtensorflow, compile the binding and our operations, and try them',
  flags: [],
  examples: ['duo setup', 'duo setup --offline'],
  run: async (options, io) => {
    if (options.device === 'wasm') return { json: { device: 'wasm', steps: [] }, text: 'wasm needs no set-up\n' };
    const { environment, signal, onProgress, warn } = io;
    const result = await setUpTensorflow({ environment, signal, onProgress, warn, offline: options.offline ?? false });
    return {
      json: { device: 'tensorflow', site: result.site.kind, folder: result.site.packageDir, steps: result.steps },
      text: render(result, io.color),
    };
  },
});

function render(result: SetupResult, color: boolean): string {
  const load = result.steps.at(-1)?.facts;
  const did = result.steps.some((step) => step.status !== 'kept');
  const head = `TensorFlow ${load?.['tensorflow']} ${did ? 'is ready' : 'was set up before; nothing to do'}: ${load?.['description']}\n`;
  return `${result.steps.map((step) => stepLine(step, color)).join('')}${head}`;
}

function stepLine({ step, status, facts, elapsedMs }: StepResult, color: boolean): string {
  const paint = palette(color);
  const marks = { done: paint.green(`done in ${formatDuration(elapsedMs)}`), kept: paint.dim('kept'), failed: paint.yellow('failed') };
  const detail = facts['origin'] ?? facts['file'] ?? facts['folder'] ?? '';
  return `  ${TITLES[step].padEnd(27)}${marks[status]}${detail === '' ? '' : paint.dim(`  ${detail}`)}\n`;
}
