/** Does a pattern fit the model and the run? Another shape never does; other weights or windows are worth a warning. */
import { InputError } from '../errors.js';
import type { Warn } from '../errors.js';
import type { Pattern } from './schema.js';

export interface ModelInfo {
  readonly id: string;
  /** SHA-256 of the weights. */
  readonly hash?: string | undefined;
  readonly layers: number;
  readonly kvHeads: number;
}

type Shaped = Pick<Pattern, 'model'>;

/** @throws InputError when the pattern has another number of layers or KV heads than the model. */
export function checkShape(pattern: Shaped, shape: { readonly layers: number; readonly kvHeads: number }): void {
  const { layers, kvHeads } = pattern.model;
  if (layers === shape.layers && kvHeads === shape.kvHeads) return;
  const rows = layers === shape.layers ? [] : [[plural(layers, 'row'), plural(shape.layers, 'layer')]];
  const columns = kvHeads === shape.kvHeads ? [] : [[plural(kvHeads, 'column'), plural(shape.kvHeads, 'KV head')]];
  const differing = [...rows, ...columns];
  const swapped = layers === shape.kvHeads && kvHeads === shape.layers;
  throw new InputError({
    code: 'pattern_shape',
    what: `the pattern has ${differing.map(([ours]) => ours).join(' and ')}, the model has ${differing.map(([, theirs]) => theirs).join(' and ')}`,
    given: `${layers} x ${kvHeads} (${pattern.model.id})`,
    expected: `${shape.layers} x ${shape.kvHeads} (layers x KV heads)`,
    hint: swapped ? 'the matrix is transposed: rows are layers, columns are KV heads' : 'a pattern calibrated for this model',
  });
}

/**
 * Holds a pattern against the model and the deployed window of a run.
 * @throws InputError when the shapes differ; other weights and other windows are warned of.
 */
export function checkPattern(
  pattern: Pick<Pattern, 'model' | 'windows'>,
  model: ModelInfo,
  window: { readonly sink: number; readonly recent: number },
  warn: Warn,
): void {
  checkShape(pattern, model);
  if (pattern.model.hash !== undefined && model.hash !== undefined && pattern.model.hash !== model.hash)
    warn({
      code: 'pattern_model',
      message: `the pattern was calibrated on other weights (${pattern.model.id}, ${pattern.model.hash.slice(0, 12)}) than this model's (${model.id}, ${model.hash.slice(0, 12)})`,
      hint: 'duo calibrate makes one for these weights',
    });
  const { sink, recent } = pattern.windows.deployed;
  if (sink !== window.sink || recent !== window.recent)
    warn({
      code: 'pattern_windows',
      message: `the pattern is for sink ${sink} and recent ${recent}, this run has sink ${window.sink} and recent ${window.recent}`,
      hint: `--sink ${sink} --recent ${recent}`,
    });
}

function plural(count: number, noun: string): string {
  return `${count} ${noun}${count === 1 ? '' : 's'}`;
}
