/** Files of a model folder, found and read with care: bounded sizes, regular files only, no way out of the folder. */
import { lstatSync, readdirSync, realpathSync, statSync } from 'node:fs';
import { basename, dirname, join, resolve, sep } from 'node:path';
import { InputError } from '../errors.js';
import { parseJson } from '../json.js';
import { readBounded } from '../untrusted.js';

const EXPECTED = 'a directory with config.json and model.safetensors, as Hugging Face lays it out, or a .gguf file';

/**
 * The model folder that a path names (links followed), or the GGUF file: named itself, or alone in a folder without
 * config.json. @throws InputError when there is neither
 */
export function modelPlace(path: string): { readonly folder: string } | { readonly file: string } {
  let target: string;
  try {
    target = realpathSync(resolve(path));
  } catch (cause) {
    const hint = /^[\w.-]+\/[\w.-]+$/.test(path) ? { hint: `if it is a model of the Hugging Face hub: hf:${path}` } : {};
    throw new InputError({
      code: 'model_missing',
      what: 'there is no such model directory',
      given: path,
      expected: EXPECTED,
      ...hint,
      cause,
    });
  }
  const stat = statSync(target);
  // By its name, not by what a link leads to: files of a hub cache have names without endings.
  if (stat.isFile() && isGgufName(path)) return { file: resolve(path) };
  if (!stat.isDirectory())
    throw new InputError({ code: 'model_not_directory', what: 'the model path is not a directory', given: path, expected: EXPECTED });
  const file = loneGguf(target);
  return file === undefined ? { folder: target } : { file };
}

function isGgufName(name: string): boolean {
  return /\.gguf$/i.test(name);
}

function loneGguf(folder: string): string | undefined {
  if (findFile(folder, 'config.json') !== undefined) return undefined;
  const names = readdirSync(folder).filter(isGgufName).sort();
  if (names.length > 1)
    throw new InputError({
      code: 'model_ambiguous',
      what: `the folder holds ${names.length} GGUF files`,
      given: folder,
      expected: `the path of one, such as ${join(folder, names[0] ?? '')}`,
    });
  return names[0] === undefined ? undefined : findFile(folder, names[0]);
}

/**
 * Path of the regular file `name` in `folder`; undefined when it is not there. A link is followed if it ends in the
 * folder or, in a hub cache (`<repository>/snapshots/<commit>`), in that repository's `blobs`.
 * @throws InputError when it is a directory or a device, or leads elsewhere.
 */
export function findFile(folder: string, name: string): string | undefined {
  const path = join(folder, name);
  if (/[/\\\0]/.test(name) || name === '..')
    throw new InputError({ code: 'file_outside', what: `file name ${JSON.stringify(name)} leaves the model folder`, given: folder });
  try {
    lstatSync(path);
  } catch {
    return undefined;
  }
  const target = followLink(path);
  const root = realpathSync(folder);
  const repository = basename(dirname(root)) === 'snapshots' ? dirname(dirname(root)) : undefined;
  const allowed = [root, ...(repository === undefined ? [] : [join(repository, 'blobs')])];
  if (!allowed.some((parent) => target.startsWith(parent + sep)))
    throw new InputError({ code: 'file_outside', what: `${name} is a link that leaves the model folder`, given: path });
  if (!statSync(target).isFile()) throw new InputError({ code: 'file_kind', what: `${name} is not a regular file`, given: path });
  return path;
}

function followLink(path: string): string {
  try {
    return realpathSync(path);
  } catch (cause) {
    throw new InputError({ code: 'link_broken', what: `${basename(path)} is a link that leads nowhere`, given: path, cause });
  }
}

/** A JSON object from a file of at most `maxBytes`. @throws InputError naming what is wrong with it. */
export function readJsonObject(path: string, maxBytes: number): Readonly<Record<string, unknown>> {
  return parseJsonObject(readBounded(path, maxBytes), basename(path), path);
}

/** A JSON object from bytes. @throws InputError when they are not UTF-8, not JSON, or not an object. */
export function parseJsonObject(bytes: Uint8Array, what: string, given: string): Readonly<Record<string, unknown>> {
  const value = parseJson(bytes, what, given);
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as Readonly<Record<string, unknown>>;
  const got = value === null ? 'null' : Array.isArray(value) ? 'an array' : `a ${typeof value}`;
  throw new InputError({ code: 'json_shape', what: `${what} must be a JSON object, got ${got}`, given, expected: 'a JSON object' });
}
