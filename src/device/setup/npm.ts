/** Puts @tensorflow/tfjs-node-gpu into DUO_HOME, without its install script, which fetches a library too old for us. */
import { mkdirSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { EnvironmentError } from '../../errors.js';
import { scratchPath } from './scratch.js';
import { TFJS_PACKAGE, TFJS_VERSION } from './site.js';
import type { Site } from './site.js';
import { errorLine, findNpm, runTool } from './tools.js';
import type { WheelContext } from './wheel.js';

/** npm's own settings wait many minutes for a network that is not there. */
const PATIENCE = ['--prefer-offline', '--fetch-retries=1', '--fetch-retry-mintimeout=2000'];

/** Installs into a folder of its own and renames it, so that what is there is whole. @throws EnvironmentError */
export async function installPackage(site: Site, context: WheelContext): Promise<void> {
  const npm = findNpm(context.environment);
  if (npm === undefined) throw npmFailed('there is no npm on PATH');
  const tree = join(site.packageDir, '..', '..', '..');
  const temporary = scratchPath(tree);
  mkdirSync(temporary);
  context.onProgress({ stage: `installing ${TFJS_PACKAGE}`, done: 0, total: 1 });
  const [command = 'npm', ...first] = npm;
  const flags = ['--ignore-scripts', '--no-save', '--no-package-lock', '--no-audit', '--no-fund', '--global=false', ...PATIENCE];
  const args = [...first, 'install', ...flags, '--prefix', temporary, ...(context.offline ? ['--offline'] : [])];
  const call = { command, args: [...args, `${TFJS_PACKAGE}@${TFJS_VERSION}`], environment: context.environment, cwd: temporary };
  const result = await runTool({ ...call, signal: context.signal });
  if (result.code !== 0) {
    rmSync(temporary, { recursive: true, force: true });
    throw npmFailed(context.offline ? 'and --offline forbids the download (npm has it not cached)' : errorLine(result));
  }
  rmSync(tree, { recursive: true, force: true });
  renameSync(temporary, tree);
}

function npmFailed(why: string): EnvironmentError {
  return new EnvironmentError({
    code: 'tfjs_node_missing',
    what: `${TFJS_PACKAGE} ${TFJS_VERSION} could not be installed: ${why}`,
    hint: 'run duo setup where npm reaches its registry; without it everything runs on wasm, slower (--device wasm)',
  });
}
