/** The table of export formats. A new one is a file here, a row, and a reader of its own in the test. */
import { lstatSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { GateError, InputError } from '../../errors.js';
import { writeFileAtomic } from '../../files.js';
import { exists, isDirectory } from '../files.js';
import { duoFormat } from './duo.js';
import type { Check, ExportContent, ExportFiles, PatternFormat } from './format.js';
import { jsonFormat } from './json.js';
import { npyFormat } from './npy.js';
import { safetensorsFormat } from './safetensors.js';

export const FORMATS = { duo: duoFormat, json: jsonFormat, npy: npyFormat, safetensors: safetensorsFormat } as const satisfies Readonly<
  Record<string, PatternFormat>
>;

export type FormatName = keyof typeof FORMATS;

/**
 * Writes an export into `folder`, each file whole, and gives their paths.
 * @throws InputError when a file of another content is there already and `overwrite` is not set; nothing is written then.
 */
export function writeExport(format: PatternFormat, content: ExportContent, folder: string, overwrite: boolean): readonly string[] {
  const files = format.write(content);
  if (exists(folder) && !isDirectory(folder))
    throw new InputError({ code: 'export_folder', what: 'the output is a file, not a directory', given: folder, hint: '--output <dir>' });
  const taken = format.files.filter((name) => isForeign(join(folder, name), files.get(name)));
  if (taken.length > 0 && !overwrite)
    throw new InputError({
      code: 'export_exists',
      what: `the output directory already holds ${taken.join(', ')} with other content`,
      given: folder,
      hint: '--overwrite replaces them, --output <dir> writes elsewhere',
    });
  for (const name of format.files) if (!files.has(name)) rmSync(join(folder, name), { force: true });
  return writeAll(files, folder);
}

function isForeign(path: string, content: string | Uint8Array | undefined): boolean {
  if (!exists(path)) return false;
  return content === undefined || !lstatSync(path).isFile() || Buffer.compare(readFileSync(path), Buffer.from(content)) !== 0;
}

function writeAll(files: ExportFiles, folder: string): readonly string[] {
  return [...files].map(([name, content]) => {
    writeFileAtomic(join(folder, name), content);
    return join(folder, name);
  });
}

/** Reads an export back and compares it. @throws GateError naming what differs */
export function verifyExport(format: PatternFormat, content: ExportContent, folder: string): readonly Check[] {
  const checks = readBack(format, content, folder);
  const wrong = checks.filter(({ same }) => !same);
  if (wrong.length === 0) return checks;
  throw new GateError({
    code: 'export_differs',
    what: `what was read back differs from what was written: ${wrong.map(({ what }) => what).join('; ')}`,
    given: folder,
  });
}

function readBack(format: PatternFormat, content: ExportContent, folder: string): readonly Check[] {
  try {
    return format.verify((name) => readFileSync(join(folder, name)), content);
  } catch (cause) {
    return [{ what: `the files cannot be read back: ${(cause as Error).message}`, same: false }];
  }
}
