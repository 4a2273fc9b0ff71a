/** What is hidden: keys with their values, drawn as a task says. */
import { InputError } from '../errors.js';
import type { Rng } from './rng.js';
import type { Task } from './task.js';

export interface Fact {
  readonly key: string;
  readonly value: string;
}

type Drawn = Extract<Task['keys'], { readonly kind: 'drawn' }>;

/** A key that was drawn before is drawn again, so often at most. */
const TRIES_PER_KEY = 1000;

/** Depths are kept to this many steps, so that a recipe row stays short. */
const DEPTH_STEPS = 10_000;

/** `count` facts with different keys; `words` overrides the length of values that are words. @throws InputError when the task has too few keys. */
export function drawFacts(task: Task, rng: Rng, count: number, words?: number): Fact[] {
  const keys = task.keys.kind === 'ordered' ? task.keys.list.slice(0, count) : drawKeys(task.keys, rng, count);
  if (keys.length < count) {
    throw new InputError({
      code: 'task_keys',
      what: `the task ${task.name} has keys for ${keys.length} facts only`,
      given: `${count} facts`,
      hint: 'lower --passkeys, or give the task more keys',
    });
  }
  return keys.map((key) => ({ key, value: drawValue(task.values, rng, words) }));
}

/** Different keys, fewer than `count` when there hardly are so many. */
function drawKeys(from: Drawn, rng: Rng, count: number): string[] {
  const keys = new Set<string>();
  for (let tries = 0; keys.size < count && tries < TRIES_PER_KEY * count; tries++) keys.add(drawOne(from, rng));
  return [...keys];
}

function drawOne(from: Drawn, rng: Rng): string {
  return from.lists.map((items) => rng.choice(items)).join(from.join);
}

function drawValue(values: Task['values'], rng: Rng, words: number | undefined): string {
  switch (values.kind) {
    case 'words':
      return Array.from({ length: words ?? values.count }, () => rng.choice(values.list)).join(' ');
    case 'number':
      return String(rng.int(10 ** (values.digits - 1), 10 ** values.digits - 1));
    case 'drawn':
      return drawOne(values, rng);
    default:
      return values satisfies never;
  }
}

/** `count` depths in the order drawn, shares of the haystack; different ones when the task has a grid. */
export function drawDepths(task: Task, rng: Rng, count: number): number[] {
  const { min, max, steps } = task.depths;
  const shares =
    steps === undefined
      ? Array.from({ length: count }, () => rng.float())
      : rng.sample([...Array(steps).keys()], count).map((step) => step / (steps - 1));
  return shares.map((share) => Math.round((min + (max - min) * share) * DEPTH_STEPS) / DEPTH_STEPS);
}
