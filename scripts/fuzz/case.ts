/** One input: made from its seed and number, written to a folder of its own, read, and judged. */
import { mkdirSync, readdirSync, readFileSync, unlinkSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { inspect } from 'node:util';
import { getHeapStatistics } from 'node:v8';
import { Rng } from '../../src/data/rng.js';
import { at, InputError } from '../../src/errors.js';
import { escapes, watched } from './guard.js';
import { KINDS } from './kinds/index.js';
import type { Content, Files, FuzzKind } from './kind.js';

/** Inputs have a few kilobytes: more than this is allocated only by believing what a header claims. */
const MAX_ALLOCATED_BYTES = 64 << 20;
/** An error is for people to read. */
const MAX_MESSAGE = 20_000;
/** Kept out of the input's folder: what holds it has read outside. */
const SECRET = 'content of a file outside';

export interface Case {
  readonly seed: number;
  /** Row of KINDS. */
  readonly kind: number;
  readonly number: number;
}

export interface Verdict {
  readonly accepted: boolean;
  /** What was wrong; absent when nothing was. */
  readonly finding?: string;
}

export function kindOf({ kind }: Case): FuzzKind {
  return at(KINDS, kind);
}

/** Most inputs have one or two mutations, so that they come far; a few have none, and must be accepted. */
export function filesOf(input: Case): { readonly files: Files; readonly changes: number } {
  const kind = kindOf(input);
  const rng = Rng.from('fuzz', kind.name, input.seed, input.number);
  const changes = rng.choice([1, 1, 1, 1, 2, 2, 2, 3, 5, 20]) * (rng.float() < 0.98 ? 1 : 0);
  return { files: kind.make(rng, changes), changes };
}

/** Writes an input's files, and nothing else stays in the folder. A link is written as one. */
export function writeCase(files: Files, folder: string): void {
  mkdirSync(folder, { recursive: true });
  for (const entry of readdirSync(folder, { withFileTypes: true }))
    // Written through, a link would change what it leads to.
    if (!entry.isFile() || !isContent(files[entry.name])) unlinkSync(join(folder, entry.name));
  for (const [name, content] of Object.entries(files)) {
    if (isContent(content)) writeFileSync(join(folder, name), content);
    else symlinkSync(content.link, join(folder, name));
  }
}

const isContent = (content: Content | undefined): content is string | Uint8Array =>
  typeof content === 'string' || content instanceof Uint8Array;

/** The file that no input may reach, beside the folders of inputs. */
export function writeSecret(root: string): void {
  writeFileSync(join(root, 'secret'), SECRET);
}

/** Reads an input as the program does. */
export async function runCase(input: Case, folder: string): Promise<Verdict> {
  const { files, changes } = filesOf(input);
  writeCase(files, folder);
  const allocated = getHeapStatistics().external_memory;
  const thrown = await watched(folder, async () => kindOf(input).read(folder));
  const problems = [
    ...judge(thrown, changes),
    ...escapes().map((path) => `opened ${path}, outside its folder`),
    ...(getHeapStatistics().external_memory - allocated > MAX_ALLOCATED_BYTES ? ['allocated far more than the input has'] : []),
    ...(Object.keys(Object.prototype).length > 0 ? ['changed Object.prototype'] : []),
  ];
  return { accepted: thrown === undefined, ...(problems.length === 0 ? {} : { finding: problems.join('\n') }) };
}

function judge(thrown: unknown, changes: number): string[] {
  if (thrown === undefined) return [];
  if (!(thrown instanceof InputError)) return [inspect(thrown)];
  const { what, given = '', expected = '', hint = '' } = thrown.facts;
  const message = [what, given, expected, hint].join('\n');
  return [
    ...(changes === 0 ? [`refused a valid input: ${message}`] : []),
    ...(message.length > MAX_MESSAGE ? [`the message has ${message.length} characters`] : []),
    ...(message.includes(SECRET) ? ['the message quotes a file outside the folder'] : []),
  ];
}

/** The secret as it should be: a run directory may be written to. */
export function secretIsWhole(root: string): boolean {
  return readFileSync(join(root, 'secret'), 'utf8') === SECRET;
}
