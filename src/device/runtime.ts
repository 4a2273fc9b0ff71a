/** Finds TensorFlow, and opens the device to run on: TensorFlow where it is set up, else WebAssembly. */
import { createRequire } from 'node:module';
import util from 'node:util';
import { EnvironmentError, type Warn } from '../errors.js';
import type { Device } from './device.js';
import { TfjsDevice } from './tfjs/device.js';
import type { Tfjs } from './tfjs/kernels.js';

export interface OpenDeviceOptions {
  readonly device: 'auto' | 'tensorflow' | 'wasm';
  /** Threads of TensorFlow's operations; absent: as many as it likes. WebAssembly has one. */
  readonly threads?: number;
  readonly warn: Warn;
  readonly environment?: Readonly<Record<string, string | undefined>>;
}

const require = createRequire(import.meta.url);

/**
 * Opens the device. `auto` takes TensorFlow when it loads and otherwise WebAssembly, with a warning.
 * Throws an EnvironmentError (exit 4) when `tensorflow` was asked for and does not load.
 */
export async function openDevice(options: OpenDeviceOptions): Promise<Device> {
  if (options.device === 'wasm') return openWasm();
  try {
    return openTensorflow(options);
  } catch (cause) {
    const facts = { code: 'tensorflow_missing', hint: 'run `duo setup`' };
    if (options.device === 'tensorflow') throw new EnvironmentError({ ...facts, what: 'TensorFlow could not be loaded', cause });
    options.warn({ ...facts, message: 'TensorFlow is not set up, so WebAssembly is used, which is slower' });
    return openWasm();
  }
}

function openTensorflow({ threads }: OpenDeviceOptions): Device {
  process.env['TF_CPP_MIN_LOG_LEVEL'] ??= '2';
  if (threads !== undefined) process.env['TF_NUM_INTRAOP_THREADS'] = String(threads);
  restoreUtilities();
  const tf = require('@tensorflow/tfjs-node-gpu') as Tfjs & { readonly version: Readonly<Record<string, string>> };
  return new TfjsDevice(tf, { name: 'tensorflow', description: `TensorFlow on the CPU, ${threads ?? 'all'} threads, plain operations` });
}

/** The binding calls two functions that Node removed from `util` in version 23. */
function restoreUtilities(): void {
  const patched = util as unknown as Record<string, unknown>;
  patched['isNullOrUndefined'] ??= (value: unknown) => value === null || value === undefined;
  patched['isArray'] ??= Array.isArray;
}

async function openWasm(): Promise<Device> {
  const tf = await import('@tensorflow/tfjs-core');
  await import('@tensorflow/tfjs-backend-wasm');
  await tf.setBackend('wasm');
  return new TfjsDevice(tf, { name: 'wasm', description: `WebAssembly (TensorFlow.js ${tf.version_core}), plain operations` });
}
