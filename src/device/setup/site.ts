/**
 * Where TensorFlow lives. `@tensorflow/tfjs-node-gpu` is used from beside this package (a clone's node_modules, or an
 * installed package whose optional dependency npm kept) or from DUO_HOME, where `duo setup` puts it when npm dropped it or
 * the package's folder cannot be written. Set-up adds to the package's folder: deps/ (libtensorflow and its C headers),
 * lib/napi-v8 (the binding), lib/duo (our operations) and a stamp.
 */
import { accessSync, constants, existsSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { homedir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { z } from 'zod';
import { PACKAGE_ROOT } from '../../version.js';
import type { Environment } from './tools.js';

/** The release this project is written and tested against; its binding's sources are compiled here. */
export const TFJS_VERSION = '4.22.0';
export const TFJS_PACKAGE = '@tensorflow/tfjs-node-gpu';

export interface Site {
  readonly kind: 'beside' | 'home';
  /** Folder of @tensorflow/tfjs-node-gpu. */
  readonly packageDir: string;
  /** Folder that holds the lock and unfinished work; on the same file system as packageDir. */
  readonly workDir: string;
}

/** True in a checkout, false in an installed package. */
export const IS_CLONE = existsSync(join(PACKAGE_ROOT, 'tsconfig.json'));

/** The command that sets TensorFlow up, as the user of this copy types it. */
export const SETUP_COMMAND = IS_CLONE ? 'npm run setup:tensorflow' : 'duo setup';

/** DUO_HOME, else the XDG data directory's `duo`: what is kept between versions of an installed package. */
export function duoHome(environment: Environment): string {
  const named = environment['DUO_HOME'];
  if (named) return resolve(named);
  return join(environment['XDG_DATA_HOME'] || join(environment['HOME'] || homedir(), '.local', 'share'), 'duo');
}

export function homeSite(environment: Environment): Site {
  const tree = join(duoHome(environment), `tfjs-node-gpu-${TFJS_VERSION}`);
  return { kind: 'home', packageDir: join(tree, 'node_modules', TFJS_PACKAGE), workDir: duoHome(environment) };
}

/** The package as this one's dependency, wherever npm put it; undefined when npm left it out. */
export function besideSite(root: string = PACKAGE_ROOT): Site | undefined {
  try {
    const manifest = createRequire(join(root, 'package.json')).resolve(`${TFJS_PACKAGE}/package.json`);
    return { kind: 'beside', packageDir: dirname(manifest), workDir: dirname(manifest) };
  } catch {
    return undefined;
  }
}

const manifestSchema = z.object({ version: z.string(), dependencies: z.record(z.string(), z.string()) });

/** Whether npm's part is complete: the right version, its program, its binding's sources, and every dependency. */
export function isWhole(site: Site): boolean {
  try {
    const path = join(site.packageDir, 'package.json');
    const manifest = manifestSchema.parse(JSON.parse(readFileSync(path, 'utf8')));
    const parts = ['dist/index.js', 'binding/tfjs_binding.cc', 'binding/tfjs_backend.cc'];
    if (manifest.version !== TFJS_VERSION || !parts.every((part) => existsSync(join(site.packageDir, part)))) return false;
    const require = createRequire(path);
    return Object.keys(manifest.dependencies).every((name) => isInstalled(require, name));
  } catch {
    return false;
  }
}

function isInstalled(require: NodeJS.Require, name: string): boolean {
  return (require.resolve.paths(name) ?? []).some((folder) => existsSync(join(folder, name, 'package.json')));
}

export function isWritable(folder: string): boolean {
  try {
    accessSync(folder, constants.W_OK);
    return true;
  } catch {
    return false;
  }
}
