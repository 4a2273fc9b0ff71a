/** YAML: settings files of --config, and task files. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parse, stringify } from 'yaml';
import { readConfigFile } from '../../../src/config/read-file.js';
import { resolve } from '../../../src/config/resolve.js';
import { DATASETS } from '../../../src/data/lists.js';
import { keyCapacity, loadTask, taskNames } from '../../../src/data/task.js';
import type { Rng } from '../../../src/data/rng.js';
import { FLAGS } from '../../../src/cli/flags.js';
import { changedText, mutateJson } from '../mutate-json.js';
import type { Json } from '../mutate-json.js';
import { require } from '../kind.js';
import type { FuzzKind } from '../kind.js';

const SETTINGS = 'settings.yaml';
const TASK = 'task.yaml';

const VALID_SETTINGS: Json = {
  model: 'models/tiny',
  steps: 40,
  lengths: '1K-8K*2',
  depths: [0, 0.5, 1],
  retrievalRatio: '25%',
  kvBudget: '12GiB',
  prefill: 'chunked:4K',
  chatTemplate: true,
  seeds: [1, 2],
  stop: ['end'],
};

interface Source {
  readonly text: string;
  readonly tree: Json;
}

const sourceOf = (text: string): Source => ({ text, tree: parse(text) as Json });
const TASKS: readonly Source[] = taskNames().map((name) => sourceOf(readFileSync(join(DATASETS, `${name}.yaml`), 'utf8')));
const VALID = sourceOf(stringify(VALID_SETTINGS));
const SCHEMAS = Object.fromEntries(Object.entries(FLAGS).map(([name, { schema }]) => [name, schema]));

/** What YAML has and JSON has not. */
const LINES = [
  'a: &a [1, 2]',
  'b: *a',
  '<<: *a',
  'x: !!binary aGk=',
  'x: !!js/function "f"',
  '%YAML 1.1',
  '---',
  '...',
  '? a',
  ': b',
  '- - - -',
  'x: |\n  text',
  'x: >-',
  '\tx: 1',
  'x: 0o17',
  'x: .inf',
  'x: .nan',
  'x: 2001-01-01',
  '"a',
  "'a",
  '{a: 1',
  '[[[[[[[[',
  '*x',
  'a: &b *b',
  'steps: 1\nsteps: 2',
  'l: &l [*l, *l]',
  'x: &x [a, a, a, a]\ny: &y [*x, *x, *x, *x]\nz: [*y, *y, *y, *y]',
];

export const yamlKind: FuzzKind = {
  name: 'yaml',
  make: (rng, changes) => {
    const inSettings = rng.float() < 0.4;
    // Both are named by the user, who may name a link.
    return { [SETTINGS]: changed(rng, VALID, inSettings ? changes : 0), [TASK]: changed(rng, rng.choice(TASKS), inSettings ? 0 : changes) };
  },
  read: (folder) => {
    resolve(SCHEMAS, { defaults: {}, environment: {}, flags: {}, file: readConfigFile(join(folder, SETTINGS)) });
    const task = loadTask(join(folder, TASK));
    require(task.facts >= 1 && task.facts <= keyCapacity(task.keys), 'there are not enough keys');
    require(task.depths.min <= task.depths.max, 'its depths are upside down');
  },
};

function changed(rng: Rng, { text, tree }: Source, changes: number): string {
  if (changes === 0) return text;
  if (rng.float() < 0.6) return stringify(mutateJson(rng, tree, changes));
  let lines = text.split('\n');
  for (let i = 0; i < changes; i++) {
    const at = rng.int(0, lines.length - 1);
    rng.choice([
      () => lines.splice(at, 1),
      () => lines.splice(at, 0, rng.choice(LINES)),
      () => lines.splice(at, 0, lines[at] ?? ''),
      () => (lines[at] = `${' '.repeat(rng.int(1, 4))}${lines[at] ?? ''}`),
      () => (lines[at] = changedText(rng, lines[at] ?? '')),
      () => (lines = rng.shuffle(lines)),
    ])();
  }
  return lines.join('\n');
}
