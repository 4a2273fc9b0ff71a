/** A calibration set is a weighted mix of tasks: `words:1,numbers:1`. */
import { at, InputError } from '../errors.js';
import { Rng } from './rng.js';
import { loadTask } from './task.js';
import type { Task } from './task.js';

export interface MixItem {
  readonly task: Task;
  /** Share of the samples; the shares of a mix add up to 1. */
  readonly share: number;
}

export type Mix = readonly MixItem[];

/** Steps of the golden ratio spread evenly over [0, 1) however many are taken. */
const GOLDEN = (Math.sqrt(5) - 1) / 2;

/** Parses `task:weight,...`; a task without a weight has 1. @throws InputError for a wrong weight or task. */
export function parseMix(text: string): Mix {
  const items = text.split(',').map((item) => parseItem(item.trim(), text));
  const total = items.reduce((sum, { weight }) => sum + weight, 0);
  if (total === 0) throw notAMix(text);
  return items.filter(({ weight }) => weight > 0).map(({ source, weight }) => ({ task: loadTask(source), share: weight / total }));
}

function parseItem(item: string, text: string): { source: string; weight: number } {
  const [, source, weight] = /^(.+?)(?::([^:/\\]*))?$/.exec(item) ?? [];
  const value = weight === undefined ? 1 : weight.trim() === '' ? Number.NaN : Number(weight);
  if (source === undefined || !(value >= 0 && value <= 1e6)) throw notAMix(text);
  return { source, weight: value };
}

function notAMix(given: string): InputError {
  return new InputError({
    code: 'mix',
    what: 'this is not a mix of tasks',
    given,
    expected: 'tasks with weights, such as words:1,numbers:1, not all of them 0',
  });
}

/** The task of sample `index`: any run of samples holds nearly the shares asked for. */
export function taskAt(mix: Mix, seed: number, index: number): Task {
  const point = (Rng.from(seed, 'mix').float() + index * GOLDEN) % 1;
  let end = 0;
  const found = mix.find(({ share }) => point < (end += share));
  return (found ?? at(mix, mix.length - 1)).task;
}
