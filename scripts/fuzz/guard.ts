/**
 * A watch over the file system: while an input is read, every path that is opened, listed or written is resolved and held
 * against the input's folder. The functions of node:fs are replaced for the whole thread, before anything else uses them.
 */
import fs from 'node:fs';
import { syncBuiltinESMExports } from 'node:module';
import { dirname, join, resolve, sep } from 'node:path';
import { PACKAGE_ROOT } from '../../src/version.js';

/** Functions that read or change what their first argument names. Asking what kind of file it is reveals nothing and is free. */
const WATCHED = [
  'openSync',
  'readFileSync',
  'writeFileSync',
  'appendFileSync',
  'readdirSync',
  'truncateSync',
  'createReadStream',
  'rmSync',
  'renameSync',
  'mkdirSync',
] as const;

const realpath = fs.realpathSync.native;
let folder: string | undefined;
let outside: string[] = [];

export function installGuard(): void {
  for (const name of WATCHED) {
    const original = fs[name] as (...parameters: unknown[]) => unknown;
    Object.assign(fs, {
      [name]: (...parameters: unknown[]) => {
        if (folder !== undefined && typeof parameters[0] === 'string') inspect(parameters[0], folder);
        return original(...parameters);
      },
    });
  }
  syncBuiltinESMExports();
}

function inspect(path: string, allowed: string): void {
  const target = follow(resolve(path));
  // The program's own data, such as word lists, is its own.
  const inside = [allowed, PACKAGE_ROOT].some((root) => target === root || target.startsWith(root + sep));
  if (!inside) outside.push(target);
}

/** The path with links followed, as far as it exists. */
function follow(path: string): string {
  try {
    return realpath(path);
  } catch {
    const parent = dirname(path);
    return parent === path ? path : join(follow(parent), path.slice(parent.length));
  }
}

/** What `body` throws; undefined when it throws nothing. Afterwards `escapes` tells where it went. */
export async function watched(root: string, body: () => Promise<void>): Promise<unknown> {
  outside = [];
  folder = realpath(root);
  try {
    await body();
    return undefined;
  } catch (error) {
    return error ?? new Error('threw nothing');
  } finally {
    folder = undefined;
  }
}

export function escapes(): readonly string[] {
  return outside;
}
