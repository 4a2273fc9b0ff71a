/** A tfjs-node-gpu package, a wheel, and the programs set-up calls, all made small in a temporary folder. */
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { findPython } from '../../../src/device/setup/tools.js';
import type { Site } from '../../../src/device/setup/site.js';
import type { Wheel } from '../../../src/device/setup/wheel.js';

const made: string[] = [];

export function temporaryFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'duo-test-'));
  made.push(folder);
  return folder;
}

export function removeTemporaryFolders(): void {
  for (const folder of made.splice(0)) rmSync(folder, { recursive: true, force: true });
}

export function write(path: string, content: string): string {
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, content);
  return path;
}

/** A package as npm leaves it under --ignore-scripts. */
export function makeSite(): Site {
  const packageDir = join(temporaryFolder(), 'tfjs-node-gpu');
  write(join(packageDir, 'package.json'), JSON.stringify({ version: '4.22.0', dependencies: {} }));
  write(join(packageDir, 'dist', 'index.js'), '');
  const sources = ['tfjs_backend.cc', 'tfjs_binding.cc', 'tfjs_backend.h', 'utils.h'];
  const more = ['napi_auto_ref.h', 'tf_auto_status.h', 'tf_auto_tensor.h', 'tfe_auto_op.h'];
  for (const name of [...sources, ...more]) write(join(packageDir, 'binding', name), `// ${name}`);
  return { kind: 'beside', packageDir, workDir: packageDir };
}

export const WHEEL_ENTRIES: Readonly<Record<string, string>> = {
  'tensorflow/libtensorflow_cc.so.2': 'the library',
  'tensorflow/libtensorflow_framework.so.2': 'the framework',
  'tensorflow/include/tensorflow/c/c_api.h': '// c_api.h',
  'tensorflow/include/unsupported/Eigen/Core': '// not wanted',
  'tensorflow/python/framework.py': 'raise SystemExit("imported")',
};

const PYTHON = findPython(process.env) ?? 'python3';

/** A zip file with `entries`, whatever their names. */
export function makeZip(entries: Readonly<Record<string, string>>): string {
  const path = join(temporaryFolder(), 'tensorflow_cpu-0-cp312-cp312-manylinux_2_27_x86_64.whl');
  const script = `
import json, sys, zipfile
with zipfile.ZipFile(sys.argv[1], 'w', zipfile.ZIP_DEFLATED) as wheel:
    for name, content in json.load(sys.stdin).items(): wheel.writestr(name, content)`;
  execFileSync(PYTHON, ['-c', script, path], { input: JSON.stringify(entries) });
  return path;
}

export function describeWheel(path: string): Wheel {
  const sha256 = createHash('sha256').update(readFileSync(path)).digest('hex');
  return { requirement: 'tensorflow-cpu==2.21.0', bytes: statSync(path).size, sha256 };
}

export interface Programs {
  /** Shell body of `python3 -m pip download`, with $dest set; absent: pip is missing. */
  readonly pip?: string;
  /** Shell body of `g++`, with $output set; absent: there is no compiler. */
  readonly compiler?: string;
}

/**
 * Programs on a PATH of their own, each appending its name to the file `calls`. Python itself is the real one, but has no
 * tensorflow, and `-m pip` is `programs.pip`.
 */
export function makePath(programs: Programs): { readonly environment: Record<string, string>; readonly calls: () => string[] } {
  const folder = temporaryFolder();
  const log = write(join(folder, 'calls'), '');
  const script = (name: string, body: string): void => {
    const path = write(join(folder, name), `#!/bin/sh\nPATH=/usr/bin:/bin\n${body}\n`);
    chmodSync(path, 0o755);
  };
  const note = (name: string): string => `echo ${name} >> '${log}'`;
  const pip = programs.pip === undefined ? 'echo "No module named pip" >&2; exit 1' : `${note('pip')}; ${programs.pip}`;
  const afterFlag = (flag: string, name: string): string =>
    `for word; do [ "$previous" = "${flag}" ] && ${name}="$word"; previous="$word"; done`;
  script(
    'python3',
    `if [ "$1" = -m ]; then ${afterFlag('--dest', 'dest')}; ${pip}; exit $?; fi
case "$2" in *find_spec*) exit 0;; *open*) ${note('unpack')};; esac
exec '${PYTHON}' "$@"`,
  );
  if (programs.compiler !== undefined) script('g++', `${afterFlag('-o', 'output')}; ${note('g++')}; ${programs.compiler}`);
  const calls = (): string[] =>
    readFileSync(log, 'utf8')
      .split('\n')
      .filter((line) => line !== '');
  return { environment: { PATH: folder, HOME: folder }, calls };
}
