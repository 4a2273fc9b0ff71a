/** Opens a device: TensorFlow where it is set up, else WebAssembly. Nothing is loaded before a device is asked for. */
import { availableParallelism } from 'node:os';
import { DuoError, EnvironmentError, InputError } from '../errors.js';
import type { Warn } from '../errors.js';
import type { Device } from './device.js';
import { loadTensorflow, loadWasm } from './load.js';
import type { Tfjs } from './load.js';
import { unsupportedPlatform } from './setup/platform.js';
import { SETUP_COMMAND } from './setup/site.js';
import { operationsPath, readyStatus } from './setup/status.js';
import type { Environment } from './setup/tools.js';
import { TfjsDevice } from './tfjs/device.js';
import type { TfjsDeviceOptions } from './tfjs/device.js';
import { FusedDevice } from './tfjs/fused-device.js';
import { loadFused } from './tfjs/fused.js';
import type { FusedKernels } from './tfjs/fused.js';

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
  const status = readyStatus(settings.environment ?? process.env);
  if (status === undefined) {
    const unsupported = unsupportedPlatform();
    throw unsupported === undefined ? missing('TensorFlow is not set up', SETUP_COMMAND) : missing(unsupported, 'use --device wasm');
  }
  return openTensorflowAt({ packageDir: status.site.packageDir, operations: operationsPath(status) }, settings);
}

/** Where TensorFlow's package and our operations' addon are. */
export interface TensorflowFiles {
  readonly packageDir: string;
  readonly operations?: string | undefined;
}

/** Opens TensorFlow from given files, whatever their stamps say. @throws EnvironmentError when it does not load */
export function openTensorflowAt(files: TensorflowFiles, settings: DeviceSettings): Device {
  try {
    const { tf, version, threads } = loadTensorflow(files.packageDir, settings.threads ?? availableParallelism());
    const describe = (kernels: string): TfjsDeviceOptions => ({
      name: 'tensorflow',
      description: `TensorFlow ${version} on the CPU, ${threads} threads, ${kernels} attention`,
    });
    const fused = loadOperations(tf, files.operations, threads, settings);
    return fused === undefined ? new TfjsDevice(tf, describe('plain')) : new FusedDevice(tf, describe('fused'), fused);
  } catch (cause) {
    if (cause instanceof DuoError) throw cause;
    throw missing(`TensorFlow does not load: ${(cause as Error).message.split('\n')[0]}`, SETUP_COMMAND, cause);
  }
}

/** Our operations, or undefined for the plain ones: asked for with DUO_KERNELS=plain, else with a warning. @throws InputError */
function loadOperations(tf: Tfjs, file: string | undefined, threads: number, settings: DeviceSettings): FusedKernels | undefined {
  if (plainKernels(settings.environment ?? process.env)) return undefined;
  try {
    if (file === undefined) throw missing('our attention operations are not built for this version', SETUP_COMMAND);
    return loadFused(tf, file, threads);
  } catch (error) {
    if (!(error instanceof EnvironmentError)) throw error;
    settings.warn({ code: 'fused_kernels_missing', message: `${error.facts.what}; attention is slower`, hint: SETUP_COMMAND });
    return undefined;
  }
}

function plainKernels(environment: Environment): boolean {
  const given = environment['DUO_KERNELS'] || 'fused';
  if (given === 'fused' || given === 'plain') return given === 'plain';
  throw new InputError({ code: 'kernels', what: 'DUO_KERNELS has an unknown value', given, expected: 'fused or plain' });
}

function missing(what: string, hint: string, cause?: unknown): EnvironmentError {
  return new EnvironmentError({ code: 'tensorflow_missing', what, hint, ...(cause === undefined ? {} : { cause }) });
}

async function openWasm(): Promise<Device> {
  const tf = await loadWasm();
  return new TfjsDevice(tf, { name: 'wasm', description: `WebAssembly (TensorFlow.js ${tf.version_core}), 1 thread, plain operations` });
}
