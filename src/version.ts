/** Name and version of this tool, as package.json has them; part of every artefact. */
import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** The folder that holds package.json: the checkout, or the installed package. */
export const PACKAGE_ROOT = findRoot(dirname(fileURLToPath(import.meta.url)));

function findRoot(folder: string): string {
  try {
    readFileSync(join(folder, 'package.json'));
    return folder;
  } catch (cause) {
    const parent = dirname(folder);
    if (parent === folder) throw new Error('package.json not found above the program', { cause });
    return findRoot(parent);
  }
}

const manifest = JSON.parse(readFileSync(join(PACKAGE_ROOT, 'package.json'), 'utf8')) as { name: string; version: string };

export const VERSION = manifest.version;
export const TOOL = `${manifest.name} ${manifest.version}`;
