/** Our own operations as an addon: every C++ file of native/ops, over the kernels of native/kernels. */
import { existsSync, readdirSync } from 'node:fs';
import { cpus } from 'node:os';
import { join } from 'node:path';
import { PACKAGE_ROOT } from '../../version.js';
import type { Addon } from './compile.js';
import { contentKey } from './stamp.js';

const OPS = join(PACKAGE_ROOT, 'native', 'ops');
const KERNELS = join(PACKAGE_ROOT, 'native', 'kernels');

/** What to compile; undefined in a copy without the sources. */
export function operationsAddon(): Addon | undefined {
  const sources = filesOf(OPS, '.cc');
  if (sources.length === 0) return undefined;
  const headers = [...filesOf(OPS, '.h'), ...filesOf(KERNELS, '.h')];
  return {
    title: 'the attention operations',
    sources,
    headers,
    includeDirs: [join(PACKAGE_ROOT, 'native')],
    flags: operationFlags(process.arch),
    outputDir: 'lib/duo',
    // Named by its sources and the processor: several versions of this program, and several machines, may share DUO_HOME.
    outputName: `operations-${contentKey([cpus()[0]?.model ?? ''], [...sources, ...headers])}.node`,
  };
}

/**
 * Compiled on the machine they run on, for its vector instructions; the addon refuses to load where they are missing. No
 * `-ffast-math`: masks need infinities. `-z nodelete`: Node unloads an addon with the last worker thread that loaded it, but
 * TensorFlow goes on holding its operations.
 */
export function operationFlags(architecture: string): string[] {
  const machine = architecture === 'x64' ? '-march=native' : '-mcpu=native';
  return ['-O3', machine, '-pthread', '-fvisibility=hidden', '-Wl,-z,nodelete'];
}

function filesOf(folder: string, suffix: string): string[] {
  if (!existsSync(folder)) return [];
  const names = readdirSync(folder, { recursive: true, encoding: 'utf8' }).filter((name) => name.endsWith(suffix));
  return names.sort().map((name) => join(folder, name));
}
