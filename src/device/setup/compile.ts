/** Node addons that talk to libtensorflow, each made by one compiler call over the headers of `node-api-headers`. */
import { renameSync, rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import { basename, join } from 'node:path';
import { EnvironmentError } from '../../errors.js';
import { scratchPath } from './scratch.js';
import { contentKey } from './stamp.js';
import type { Site } from './site.js';
import { errorLine, findCompiler, runTool } from './tools.js';
import type { Environment } from './tools.js';

export interface Addon {
  /** For people: `the TensorFlow binding`. */
  readonly title: string;
  /** Absolute paths of the C++ files. */
  readonly sources: readonly string[];
  /** Files that sources include and whose change makes a new build necessary. */
  readonly headers: readonly string[];
  readonly includeDirs: readonly string[];
  readonly flags: readonly string[];
  /** Folder of the made file, two levels below the package's: from there it finds libtensorflow in ../../deps/lib. */
  readonly outputDir: string;
  readonly outputName: string;
}

const BASE_FLAGS = ['-std=c++17', '-O2', '-fPIC', '-shared', '-DNAPI_VERSION=8'];
const LIBRARIES = ['-l:libtensorflow_cc.so.2', '-l:libtensorflow_framework.so.2'];

/** TensorFlow.js's own binding, compiled from the sources npm brought; plain Node-API, so one file serves every Node version. */
export function bindingAddon(site: Site): Addon {
  const folder = join(site.packageDir, 'binding');
  const headers = ['tfjs_backend.h', 'utils.h', 'napi_auto_ref.h', 'tf_auto_status.h', 'tf_auto_tensor.h', 'tfe_auto_op.h'];
  return {
    title: 'the TensorFlow binding',
    sources: ['tfjs_backend.cc', 'tfjs_binding.cc'].map((name) => join(folder, name)),
    headers: headers.map((name) => join(folder, name)),
    includeDirs: [folder],
    flags: [],
    outputDir: 'lib/napi-v8',
    outputName: 'tfjs_binding.node',
  };
}

/** Path of the made file below the package's folder. */
export function addonPath(addon: Addon): string {
  return `${addon.outputDir}/${addon.outputName}`;
}

/** Hash of everything an addon is made from, libtensorflow (by `libraryKey`) included. */
export function addonKey(addon: Addon, libraryKey: string): string {
  return contentKey([libraryKey, ...BASE_FLAGS, ...addon.flags], [...addon.sources, ...addon.headers]);
}

/** Compiles an addon to its place below the package's folder. @throws EnvironmentError without a compiler, or when it fails. */
export async function compileAddon(site: Site, addon: Addon, environment: Environment, signal?: AbortSignal): Promise<void> {
  const command = findCompiler(environment);
  if (command === undefined) throw compilerMissing(environment);
  const output = join(site.packageDir, addonPath(addon));
  const temporary = scratchPath(output);
  const result = await runTool({ command, args: compilerArguments(site, addon, temporary), environment, signal });
  if (result.code !== 0) {
    rmSync(temporary, { force: true });
    throw new EnvironmentError({
      code: 'compile_failed',
      what: `${basename(command)} could not compile ${addon.title}: ${errorLine(result)}`,
      given: command,
      expected: 'a C++17 compiler, such as g++ 9 or newer',
      hint: 'name another compiler with CXX, or use --device wasm',
    });
  }
  renameSync(temporary, output);
}

function compilerArguments(site: Site, addon: Addon, output: string): string[] {
  const deps = join(site.packageDir, 'deps');
  const includes = [nodeHeaders(), join(deps, 'include'), ...addon.includeDirs].flatMap((folder) => ['-I', folder]);
  const link = ['-L', join(deps, 'lib'), ...LIBRARIES, '-Wl,-rpath,$ORIGIN/../../deps/lib'];
  return [...BASE_FLAGS, ...addon.flags, ...includes, ...addon.sources, '-o', output, ...link];
}

function nodeHeaders(): string {
  const headers = createRequire(import.meta.url)('node-api-headers') as { readonly include_dir: string };
  return headers.include_dir;
}

function compilerMissing(environment: Environment): EnvironmentError {
  const named = environment['CXX'];
  return new EnvironmentError({
    code: 'compiler_missing',
    what: named ? 'the compiler named by CXX does not exist' : 'there is no C++ compiler',
    ...(named ? { given: `CXX=${named}` } : {}),
    expected: 'g++ or clang++ on PATH',
    hint: 'install one (Debian, Ubuntu: apt install g++; Fedora: dnf install gcc-c++), or use --device wasm',
  });
}
