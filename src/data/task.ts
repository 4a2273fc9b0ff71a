/**
 * Tasks: what is hidden in a haystack, how it is asked, and what the answer is. They are YAML files, ours in datasets/ or
 * the user's; calibration mixes them, and an evaluation suite is one of them. datasets/words.yaml explains every key.
 */
import { existsSync, readdirSync } from 'node:fs';
import { basename, join } from 'node:path';
import { z } from 'zod';
import { InputError } from '../errors.js';
import { canonicalJson, sha256 } from '../files.js';
import { readYamlFile } from '../yaml.js';
import { DATASETS, wordLists } from './lists.js';

/** Most facts in a sample, and most words in a value: a sample that needs more fits no context. */
const MAX_FACTS = 1000;
const MAX_WORDS = 256;

const list = z
  .union([z.string(), z.array(z.string().min(1).max(1000)).min(1).max(10_000)], 'a list of lists.yaml, or texts of your own')
  .transform((given, context) => {
    if (typeof given !== 'string') return given;
    const found = Object.hasOwn(wordLists(), given) ? wordLists()[given] : undefined;
    if (found) return [...found];
    context.addIssue({ code: 'custom', message: `no list ${given}; there are ${Object.keys(wordLists()).join(', ')}` });
    return z.NEVER;
  });

const unique = list.refine((items) => new Set(items).size === items.length, 'the same text stands in the list twice');

const ordered = z.strictObject({ kind: z.literal('ordered'), list: unique });
const drawn = z.strictObject({ kind: z.literal('drawn'), lists: z.array(list).min(1).max(8), join: z.string().max(20) });
const words = z.strictObject({ kind: z.literal('words'), list, count: z.int().min(1).max(MAX_WORDS) });
const number = z.strictObject({ kind: z.literal('number'), digits: z.int().min(1).max(15) });

const template = z.string().max(10_000);
const share = z.number().min(0).max(1);

const fileSchema = z
  .strictObject({
    name: z.string().regex(/^[a-zA-Z0-9-]{1,60}$/, 'letters, digits and hyphens'),
    description: z.string().max(500),
    before: template,
    needle: template,
    after: template,
    question: template,
    answer: template,
    keys: z.discriminatedUnion('kind', [ordered, drawn]),
    values: z.discriminatedUnion('kind', [words, number, drawn]),
    facts: z.int().min(1).max(MAX_FACTS),
    ask: z.union([z.literal('all'), z.int().min(1)], 'all, or a number of facts'),
    order: z.enum(['hidden', 'shuffled']),
    depths: z.strictObject({ min: share, max: share, steps: z.int().min(2).max(1_000_000).optional() }),
    layout: z.enum(['exact', 'reference']),
  })
  .superRefine((task, context) => {
    for (const [key, message] of contradictions(task)) context.addIssue({ code: 'custom', path: [key], message });
  });

type TaskFile = z.output<typeof fileSchema>;

/** A task with its lists filled in. */
export interface Task extends TaskFile {
  /** Name or file it was loaded by. */
  readonly source: string;
  /** SHA-256 of everything the file says, lists included. */
  readonly hash: string;
}

/** What may be wrong between keys that are right one by one: [key, message]. */
function* contradictions(task: Omit<TaskFile, 'name'>): Generator<[keyof TaskFile, string]> {
  for (const [key, expected] of PLACEHOLDERS) {
    const found = placeholders(task[key]);
    for (const name of ['{key}', '{value}'] as const) {
      const [least, most] = expected[name];
      const count = found.filter((placeholder) => placeholder === name).length;
      if (count < least) yield [key, `${name} is missing`];
      if (count > most) yield [key, most === 0 ? `${name} cannot stand here` : `${name} stands here more than once`];
    }
  }
  const capacity = keyCapacity(task.keys);
  if (task.facts > capacity) yield ['facts', `there are keys for ${capacity} facts only`];
  if (task.ask !== 'all' && task.ask > task.facts) yield ['ask', `only ${task.facts} facts are hidden`];
  if (task.depths.min > task.depths.max) yield ['depths', 'min is above max'];
  if ((task.depths.steps ?? Infinity) < task.facts) yield ['depths', 'fewer steps than facts'];
}

type Bounds = Readonly<Record<'{key}' | '{value}', readonly [least: number, most: number]>>;

/** How often each placeholder may stand in each text. */
const PLACEHOLDERS: readonly (readonly ['before' | 'needle' | 'after' | 'question' | 'answer', Bounds])[] = [
  ['before', { '{key}': [0, 0], '{value}': [0, 0] }],
  ['needle', { '{key}': [0, Infinity], '{value}': [1, 1] }],
  ['after', { '{key}': [0, 0], '{value}': [0, 0] }],
  ['question', { '{key}': [0, Infinity], '{value}': [0, 0] }],
  ['answer', { '{key}': [0, Infinity], '{value}': [1, 1] }],
];

function placeholders(text: string): string[] {
  return [...text.matchAll(/\{(?:key|value)\}/g)].map(([found]) => found);
}

/** How many different keys there are. */
export function keyCapacity(keys: Task['keys']): number {
  if (keys.kind === 'ordered') return keys.list.length;
  return keys.lists.reduce((product, items) => product * new Set(items).size, 1);
}

/** How many of `facts` hidden facts are asked. */
export function askedFacts(task: Task, facts: number): number {
  return task.ask === 'all' ? facts : Math.min(task.ask, facts);
}

/** Whether a sample asks one fact, so that it has a depth; of tasks that ask several the depths are drawn. */
export function hasDepth(task: Task): boolean {
  return askedFacts(task, task.facts) === 1;
}

/** Names of the tasks in datasets/. */
export function taskNames(): string[] {
  return readdirSync(DATASETS)
    .filter((file) => file.endsWith('.yaml') && file !== 'lists.yaml')
    .map((file) => basename(file, '.yaml'))
    .sort();
}

/** A task by its name in datasets/, or a .yaml file. @throws InputError that lists every problem of the file. */
export function loadTask(source: string): Task {
  const path = taskNames().includes(source) ? join(DATASETS, `${source}.yaml`) : source;
  const parsed = fileSchema.safeParse(readYaml(source, path));
  if (!parsed.success) {
    throw new InputError({
      code: 'task_invalid',
      what: `the task file is wrong:\n${z.prettifyError(parsed.error)}`,
      given: source,
      expected: `the keys of ${join(DATASETS, 'words.yaml')}, which explains each`,
    });
  }
  return { ...parsed.data, source, hash: sha256(canonicalJson(parsed.data)) };
}

function readYaml(source: string, path: string): unknown {
  if (!/\.ya?ml$/.test(path) || !existsSync(path)) {
    throw new InputError({
      code: 'task_unknown',
      what: 'there is no such task',
      given: source,
      expected: `${taskNames().join(', ')}, or a .yaml file`,
    });
  }
  try {
    return readYamlFile(path);
  } catch (cause) {
    const reason = (cause as Error).message.split('\n')[0] ?? '';
    throw new InputError({
      code: 'task_unreadable',
      what: `the task file cannot be read: ${reason}`,
      given: source,
      expected: 'a YAML file',
      cause,
    });
  }
}
