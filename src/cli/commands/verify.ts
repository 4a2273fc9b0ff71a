/** `duo verify`: this program's numbers against those of another implementation. */
import { existsSync } from 'node:fs';
import { InputError } from '../../errors.js';
import { openDevice } from '../../device/runtime.js';
import { loadModel, readModelInfo, storedReader } from '../../model/load.js';
import type { Comparison } from '../../verify/compare.js';
import { Dump } from '../../verify/dump.js';
import { kindsOf, verify } from '../../verify/verify.js';
import type { Verification } from '../../verify/verify.js';
import { defineCommand } from '../command.js';
import type { CommandResult, Io } from '../command.js';
import { localModel } from '../model-path.js';
import { palette } from '../render.js';

export const verifyCommand = defineCommand({
  name: 'verify',
  summary: 'compare the model, its hybrid cache and its calibration with a reference dump',
  flags: ['model', 'golden', 'tolerance'],
  defaults: { tolerance: 1e-4 },
  examples: [
    'duo verify --golden test/golden/duo-mini/golden_forward.safetensors',
    'duo verify --model DIR --golden DIR/golden.safetensors',
  ],
  run: async (options, io) => {
    const dump = Dump.open(requireGolden(options.golden));
    kindsOf(dump);
    const path = await localModel(options, io);
    readModelInfo(path);
    const { device: name, threads } = options;
    const device = await openDevice({
      device: name,
      ...(threads === undefined ? {} : { threads }),
      environment: io.environment,
      warn: io.warn,
    });
    const model = await loadModel(path, device, io);
    const { tolerance } = options;
    const { onProgress, signal } = io;
    const verification = await verify(model, dump, { tolerance, readStored: storedReader(path), onProgress, signal });
    return present({ model: model.id, golden: dump.path, device: device.description, tolerance: options.tolerance }, verification, io);
  },
});

function requireGolden(golden: string | undefined): string {
  if (golden !== undefined) return golden;
  throw new InputError({
    code: 'golden_option',
    what: 'no reference dump was given',
    expected: '--golden FILE.safetensors',
    ...(existsSync('test/golden') ? { hint: 'duo verify --golden test/golden/duo-mini/golden_forward.safetensors' } : {}),
  });
}

interface Subject {
  readonly model: string;
  readonly golden: string;
  readonly device: string;
  readonly tolerance: number;
}

function present(subject: Subject, verification: Verification, io: Io): CommandResult {
  return {
    json: { ...subject, ...verification },
    text: render(subject, verification, io),
    exitCode: verification.passed ? 0 : 3,
  };
}

const HEAD = ['tensor', 'elements', 'worst', 'allowed', 'measure', ''] as const;

function render(subject: Subject, { comparisons, notCompared, passed }: Verification, io: Io): string {
  const paint = palette(io.color);
  const rows = [HEAD, ...comparisons.map(cells)];
  const widths = HEAD.map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)));
  const lines = rows.map((row) =>
    row
      .map((cell, column) => (column === 0 ? cell.padEnd(widths[0] ?? 0) : pad(cell, column, widths)))
      .join('  ')
      .trimEnd(),
  );
  const painted = lines.map((line, row) =>
    row === 0 ? paint.bold(line) : comparisons[row - 1]?.passed === false ? paint.red(line) : line,
  );
  const failed = comparisons.filter((comparison) => !comparison.passed);
  const verdict = passed
    ? paint.green(`all ${comparisons.length} tensors agree`)
    : paint.red(`${failed.length} of ${comparisons.length} tensors differ: ${failed.map(worst).join('; ')}`);
  return [
    `${subject.model} on ${subject.device}, against ${subject.golden}`,
    '',
    ...painted,
    '',
    ...(notCompared.length > 0 ? [`not compared: ${notCompared.join(', ')}`] : []),
    verdict,
    '',
  ].join('\n');
}

function pad(cell: string, column: number, widths: readonly number[]): string {
  const width = widths[column] ?? 0;
  return column < 4 ? cell.padStart(width) : cell.padEnd(width);
}

function cells({ tensor, elements, difference, limit, measure, passed }: Comparison): string[] {
  const number = measure === 'ids that differ' ? String : scientific;
  return [tensor, elements.toLocaleString('en'), number(difference), number(limit), measure, passed ? 'ok' : 'DIFFERS'];
}

function scientific(value: number): string {
  return value === 0 ? '0' : Number.isFinite(value) ? value.toExponential(1) : String(value);
}

function worst({ tensor, worst: { index, expected, actual } }: Comparison): string {
  return `${tensor}[${index.join(', ')}] is ${actual}, expected ${expected}`;
}
