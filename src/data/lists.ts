/** Named word lists, datasets/lists.yaml: what keys, values and synthetic sentences are drawn from. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parse } from 'yaml';
import { z } from 'zod';
import { InternalError } from '../errors.js';
import { PACKAGE_ROOT } from '../version.js';

/** The folder of task, suite and list files. */
export const DATASETS = join(PACKAGE_ROOT, 'datasets');

const schema = z.record(
  z.string(),
  z.string().transform((words) => words.trim().split(/\s+/)),
);

let lists: Readonly<Record<string, readonly string[]>> | undefined;

/** Every list by name. */
export function wordLists(): Readonly<Record<string, readonly string[]>> {
  return (lists ??= schema.parse(parse(readFileSync(join(DATASETS, 'lists.yaml'), 'utf8'))));
}

/** The list of this name, which the caller knows to exist. */
export function wordList(name: string): readonly string[] {
  const list = wordLists()[name];
  if (list === undefined) throw new InternalError(`no word list ${name}`);
  return list;
}
