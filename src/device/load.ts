/**
 * Loads TensorFlow.js backends into this process, once and silently. Nothing here runs at import: input errors must
 * not wait for 850 MB of libraries.
 */
import { createRequire } from 'node:module';
import { availableParallelism } from 'node:os';
import { dirname, join } from 'node:path';
import util from 'node:util';
import type * as TensorFlow from '@tensorflow/tfjs-core';
import { InternalError } from '../errors.js';

export type Tfjs = typeof TensorFlow;

export interface TensorflowModule {
  readonly tf: Tfjs;
  /** Of libtensorflow, e.g. `2.21.0`. */
  readonly version: string;
  /** Threads TensorFlow computes with; the first load in a process decides. */
  readonly threads: number;
}

let threadsInUse: number | undefined;

/** Loads `@tensorflow/tfjs-node-gpu` from its folder. @throws what Node throws when the binding or libtensorflow does not load */
export function loadTensorflow(packageDir: string, threads: number = availableParallelism()): TensorflowModule {
  threadsInUse ??= threads;
  process.env['TF_CPP_MIN_LOG_LEVEL'] ??= '2';
  process.env['TF_NUM_INTRAOP_THREADS'] = String(threadsInUse);
  process.env['TF_NUM_INTEROP_THREADS'] ??= '1';
  restoreUtil();
  const require = createRequire(join(packageDir, 'package.json'));
  const tf = quietly(() => require(packageDir) as Tfjs);
  tf.env().set('PROD', true);
  const { binding } = tf.backend() as unknown as { readonly binding?: { readonly TF_Version?: string } };
  if (binding?.TF_Version === undefined) throw new InternalError('the TensorFlow backend has no binding');
  return { tf, version: binding.TF_Version, threads: threadsInUse };
}

/**
 * The binding's JavaScript calls two functions that Node 23 removed and that older versions warn of; no newer release of
 * the package mends it.
 */
function restoreUtil(): void {
  const legacy = util as unknown as Record<string, unknown>;
  legacy['isNullOrUndefined'] = (value: unknown) => value === null || value === undefined;
  legacy['isArray'] = Array.isArray;
}

/** Runs `body` without deprecation notices: they are about code that is not ours. */
function quietly<T>(body: () => T): T {
  const before = process.noDeprecation;
  process.noDeprecation = true;
  try {
    return body();
  } finally {
    process.noDeprecation = before ?? false;
  }
}

/** Loads the WebAssembly backend (SIMD, one thread) and makes it the active one. */
export async function loadWasm(): Promise<Tfjs> {
  const listeners = guardListeners();
  const [tf, wasm] = await Promise.all([import('@tensorflow/tfjs-core'), import('@tensorflow/tfjs-backend-wasm')]);
  tf.env().set('PROD', true);
  const entry = createRequire(import.meta.url).resolve('@tensorflow/tfjs-backend-wasm');
  wasm.setWasmPaths(`${dirname(entry)}/`);
  if (!(await tf.setBackend('wasm'))) throw new InternalError('the WebAssembly backend did not start');
  listeners.restore();
  return tf;
}

/** Emscripten's loader rethrows every unhandled rejection for the whole process; its listeners are taken off again. */
function guardListeners(): { restore(): void } {
  const events = ['uncaughtException', 'unhandledRejection'] as const;
  const before = new Map(events.map((event) => [event, process.rawListeners(event)]));
  return {
    restore: () => {
      for (const event of events)
        for (const listener of process.rawListeners(event))
          if (!before.get(event)?.includes(listener)) process.removeListener(event, listener as () => void);
    },
  };
}
