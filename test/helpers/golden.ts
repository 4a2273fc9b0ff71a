/** Reference dumps cut down, so that a slow device compares fewer steps or prompts of the same numbers. */
import { writeFileSync } from 'node:fs';
import { at } from '../../src/errors.js';
import { readSafetensors } from '../../src/model/safetensors.js';
import { readTensor } from '../../src/model/weight-file.js';
import { safetensorsBytes } from './checkpoints.js';
import type { TensorSource } from './checkpoints.js';

export type Change = (tensor: TensorSource) => TensorSource | undefined;

/** Copies a dump to `target`, each tensor as `change` of its name gives it (undefined leaves it out), and `extra` tensors. */
export function copyDump(
  source: string,
  target: string,
  change: (name: string) => Change,
  extra: Readonly<Record<string, TensorSource>> = {},
): string {
  const file = readSafetensors(source);
  const tensors = [...file.tensors.values()].flatMap((tensor) => {
    const bytes = new Uint8Array(readTensor(file, tensor).buffer);
    const changed = change(tensor.name)({ dtype: tensor.dtype, shape: tensor.shape, bytes });
    return changed === undefined ? [] : [[tensor.name, changed] as const];
  });
  writeFileSync(target, safetensorsBytes({ ...Object.fromEntries(tensors), ...extra }, file.metadata));
  return target;
}

export const whole: Change = (tensor) => tensor;
export const nothing: Change = () => undefined;

/** The first `count` rows. */
export function firstRows(count: number): Change {
  return ({ dtype, shape, bytes }) => ({
    dtype,
    shape: [count, ...shape.slice(1)],
    bytes: bytes.slice(0, (bytes.length / at(shape, 0)) * count),
  });
}

/** Every number of a float tensor moved by `amount`. */
export function movedBy(amount: number): Change {
  return (tensor) => ({ ...tensor, bytes: new Uint8Array(new Float32Array(tensor.bytes.buffer).map((value) => value + amount).buffer) });
}
