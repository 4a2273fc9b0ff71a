/** Opens a device: TensorFlow where it is set up, else WebAssembly. Nothing is loaded before a device is asked for. */
import { availableParallelism } from 'node:os';
import { EnvironmentError } from '../errors.js';
import type { Warn } from '../errors.js';
import type { Device } from './device.js';
import { loadTensorflow, loadWasm } from './load.js';
import { unsupportedPlatform } from './setup/platform.js';
import { SETUP_COMMAND } from './setup/site.js';
import { operationsPath, readyStatus } from './setup/status.js';
import type { Environment } from './setup/tools.js';
import { TfjsDevice } from './tfjs/device.js';

export interface DeviceSettings {
  /** Threads of the device; absent: all cores. wasm always has one. */
  readonly threads?: number | undefined;
  readonly warn: Warn;
  /** DUO_HOME says where TensorFlow may be, DUO_KERNELS=plain turns our operations off; absent: the process's own. */
  readonly environment?: Environment;
}

export interface OpenDeviceOptions extends DeviceSettings {
  /** `auto` takes TensorFlow when it is set up and loads, else wasm with a warning. */
  readonly device: 'auto' | 'tensorflow' | 'wasm';
}

/** @throws EnvironmentError when `tensorflow` is asked for and cannot be had; its hint is the command that mends it. */
export async function openDevice(options: OpenDeviceOptions): Promise<Device> {
  if (options.device === 'wasm') return openWasm();
  try {
    return openTensorflow(options);
  } catch (error) {
    if (options.device === 'tensorflow' || !(error instanceof EnvironmentError)) throw error;
    const { code, what, hint } = error.facts;
    options.warn({ code, message: `${what}; computing on wasm, which is slower`, ...(hint === undefined ? {} : { hint }) });
    return openWasm();
  }
}

function openTensorflow(settings: DeviceSettings): Device {
  const unsupported = unsupportedPlatform();
  if (unsupported !== undefined) throw missing(unsupported, 'use --device wasm');
  const status = readyStatus(settings.environment ?? process.env);
  if (status === undefined) throw missing('TensorFlow is not set up', SETUP_COMMAND);
  return openTensorflowAt({ packageDir: status.site.packageDir, operations: operationsPath(status) }, settings);
}

/** Where TensorFlow's package and our operations' addon are. */
export interface TensorflowFiles {
  readonly packageDir: string;
  readonly operations?: string | undefined;
}

/** Opens TensorFlow from given files, whatever their stamps say. @throws EnvironmentError when it does not load */
export function openTensorflowAt(files: TensorflowFiles, settings: DeviceSettings): Device {
  const threads = settings.threads ?? availableParallelism();
  try {
    const { tf, version } = loadTensorflow(files.packageDir, threads);
    return new TfjsDevice(tf, { name: 'tensorflow', description: `TensorFlow ${version} on the CPU, ${threads} threads` });
  } catch (cause) {
    if (cause instanceof EnvironmentError) throw cause;
    throw missing(`TensorFlow does not load: ${(cause as Error).message.split('\n')[0]}`, SETUP_COMMAND, cause);
  }
}

function missing(what: string, hint: string, cause?: unknown): EnvironmentError {
  return new EnvironmentError({ code: 'tensorflow_missing', what, hint, ...(cause === undefined ? {} : { cause }) });
}

async function openWasm(): Promise<Device> {
  const tf = await loadWasm();
  return new TfjsDevice(tf, { name: 'wasm', description: `WebAssembly (TensorFlow.js ${tf.version_core}), 1 thread, plain operations` });
}
