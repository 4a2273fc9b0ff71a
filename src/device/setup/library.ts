/**
 * Where libtensorflow comes from: the one the user names, else an installed Python package, else the wheel. A library
 * that is on the machine already is linked, not copied.
 */
import { existsSync, mkdirSync, realpathSync, renameSync, rmSync, statSync, symlinkSync } from 'node:fs';
import { basename, dirname, join, resolve } from 'node:path';
import { z } from 'zod';
import { InputError } from '../../errors.js';
import { PACKAGE_ROOT } from '../../version.js';
import { scratchPath } from './scratch.js';
import type { Site } from './site.js';
import { findPython, runTool } from './tools.js';
import type { Environment } from './tools.js';
import { downloadDir, dropDownload, fetchWheel, unpackWheel } from './wheel.js';
import type { WheelContext } from './wheel.js';

export interface LibraryFolder {
  readonly cc: string;
  readonly framework: string;
  readonly include: string;
}

/** Oldest installed TensorFlow that is taken; older ones are passed over for the wheel. */
const OLDEST_PYTHON = [2, 18] as const;

/** Paths below the package's folder that the library step makes. */
export const LIBRARY_FILES = ['deps/lib/libtensorflow_cc.so.2', 'deps/lib/libtensorflow_framework.so.2'] as const;
const A_HEADER = 'tensorflow/c/c_api.h';

/** The libraries and headers in or near `folder`: a Python package's folder, or an unpacked libtensorflow archive. */
export function findLibraries(folder: string): LibraryFolder | undefined {
  const near = [folder, join(folder, 'lib'), join(folder, 'tensorflow'), join(folder, '..', 'lib')];
  const find = (names: readonly string[]): string | undefined =>
    near.flatMap((place) => names.map((name) => join(place, name))).find((path) => existsSync(path));
  const cc = find(['libtensorflow_cc.so.2', 'libtensorflow.so.2']);
  const framework = find(['libtensorflow_framework.so.2']);
  if (cc === undefined || framework === undefined) return undefined;
  const homes = [dirname(cc), join(dirname(cc), '..')].map((place) => join(place, 'include'));
  const include = homes.find((place) => existsSync(join(place, A_HEADER)));
  return include === undefined ? undefined : { cc: realpathSync(cc), framework: realpathSync(framework), include };
}

/** What the user names with DUO_LIBTENSORFLOW; undefined when the variable is not set. @throws InputError */
export function namedLibrary(environment: Environment): { readonly wheel: string } | LibraryFolder | undefined {
  const named = environment['DUO_LIBTENSORFLOW'];
  if (!named) return undefined;
  const path = resolve(named);
  if (path.endsWith('.whl') && existsSync(path)) return { wheel: path };
  const found = statSync(path, { throwIfNoEntry: false })?.isDirectory() ? findLibraries(path) : undefined;
  if (found !== undefined) return found;
  throw new InputError({
    code: 'libtensorflow_named',
    what: 'DUO_LIBTENSORFLOW does not name a usable libtensorflow',
    given: named,
    expected: `a folder with libtensorflow_cc.so.2, libtensorflow_framework.so.2 and include/${A_HEADER}, or a tensorflow wheel`,
  });
}

const installedSchema = z.object({ folder: z.string(), version: z.string() });

const FIND_INSTALLED = `
import importlib.metadata, importlib.util, json, os
spec = importlib.util.find_spec('tensorflow')
if spec and spec.origin:
    for name in ('tensorflow', 'tensorflow-cpu'):
        try:
            print(json.dumps({'folder': os.path.dirname(spec.origin), 'version': importlib.metadata.version(name)}))
            break
        except importlib.metadata.PackageNotFoundError:
            pass
`;

export interface InstalledPython {
  readonly version: string;
  readonly libraries: LibraryFolder;
}

/** TensorFlow of the Python on PATH, found without importing it. */
export async function pythonLibrary(environment: Environment, signal?: AbortSignal): Promise<InstalledPython | undefined> {
  const command = findPython(environment);
  if (command === undefined) return undefined;
  const result = await runTool({ command, args: ['-c', FIND_INSTALLED], environment, cwd: PACKAGE_ROOT, signal });
  const found = result.code === 0 && result.stdout.trim() !== '' ? installedSchema.safeParse(JSON.parse(result.stdout)) : undefined;
  const libraries = found?.success ? findLibraries(found.data.folder) : undefined;
  if (!found?.success || libraries === undefined || !isRecent(found.data.version)) return undefined;
  return { version: found.data.version, libraries };
}

function isRecent(version: string): boolean {
  const [major = 0, minor = 0] = version.split('.').map(Number);
  return major > OLDEST_PYTHON[0] || (major === OLDEST_PYTHON[0] && minor >= OLDEST_PYTHON[1]);
}

/** Puts libraries and headers under the package's deps/ and says where they came from. */
export async function installLibrary(site: Site, context: WheelContext): Promise<Readonly<Record<string, string>>> {
  const { environment, signal } = context;
  const named = namedLibrary(environment);
  if (named !== undefined) {
    if ('wheel' in named) await unpackInto(site, named.wheel, context);
    else linkInto(site, named);
    const path = environment['DUO_LIBTENSORFLOW'] ?? '';
    return { origin: `DUO_LIBTENSORFLOW=${path}`, named: path };
  }
  const python = await pythonLibrary(environment, signal);
  if (python !== undefined) {
    linkInto(site, python.libraries);
    return { origin: `Python's tensorflow ${python.version} in ${dirname(python.libraries.cc)}` };
  }
  const wheel = await fetchWheel(downloadDir(site.workDir), context);
  await unpackInto(site, wheel, context);
  dropDownload(wheel);
  return { origin: `the ${context.wheel.requirement} wheel` };
}

async function unpackInto(site: Site, wheel: string, context: WheelContext): Promise<void> {
  context.onProgress({ stage: 'unpacking libtensorflow', done: 0, total: 1 });
  const folder = freshDeps(site);
  await unpackWheel(wheel, folder, context.environment, context.signal);
  replaceDeps(site, folder);
}

function linkInto(site: Site, libraries: LibraryFolder): void {
  const folder = freshDeps(site);
  mkdirSync(join(folder, 'lib'), { recursive: true });
  // The name the linker is given, and the name the file has: the loader looks for the latter when that is its SONAME.
  const names = new Map([
    ['libtensorflow_cc.so.2', libraries.cc],
    ['libtensorflow_framework.so.2', libraries.framework],
    ...[libraries.cc, libraries.framework].map((path): [string, string] => [soname(path), path]),
  ]);
  for (const [name, target] of names) symlinkSync(target, join(folder, 'lib', name));
  symlinkSync(libraries.include, join(folder, 'include'));
  replaceDeps(site, folder);
}

/** `libtensorflow.so.2` of `libtensorflow.so.2.18.0`. */
function soname(path: string): string {
  return basename(path).replace(/(\.so\.\d+).*$/, '$1');
}

function freshDeps(site: Site): string {
  const folder = scratchPath(join(site.packageDir, 'deps'));
  mkdirSync(folder);
  return folder;
}

function replaceDeps(site: Site, folder: string): void {
  const deps = join(site.packageDir, 'deps');
  rmSync(deps, { recursive: true, force: true });
  renameSync(folder, deps);
}
