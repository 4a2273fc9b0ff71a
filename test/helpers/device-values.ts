/** Seeded values of many shapes, on the host and on a device. */
import type { Device, Tensor } from '../../src/device/device.js';
import { at } from '../../src/errors.js';
import { seeded } from './tiny-model.js';

export interface Values {
  readonly shape: readonly number[];
  readonly values: Float32Array;
}

/** Uniform in [-1, 1), by name and shape. */
export function seededValues<Name extends string>(seed: number, shapes: Readonly<Record<Name, readonly number[]>>): Record<Name, Values> {
  const random = seeded(seed);
  return mapRecord(shapes, (shape) => {
    const values = new Float32Array(sizeOf(shape));
    for (let i = 0; i < values.length; i++) values[i] = 2 * random() - 1;
    return { shape, values };
  });
}

export function uploadAll<Name extends string>(device: Device, values: Readonly<Record<Name, Values>>): Record<Name, Tensor> {
  return mapRecord(values, (value) => upload(device, value));
}

/** A copy on the device: `upload` takes over the array it is given. */
export function upload(device: Device, { values, shape }: Values): Tensor {
  return device.upload(values.slice(), shape);
}

export function mapRecord<Name extends string, A, B>(record: Readonly<Record<Name, A>>, map: (value: A, name: Name) => B): Record<Name, B> {
  const entries = (Object.entries(record) as [Name, A][]).map(([name, value]) => [name, map(value, name)]);
  return Object.fromEntries(entries) as Record<Name, B>;
}

export function sizeOf(shape: readonly number[]): number {
  return shape.reduce((size, length) => size * length, 1);
}

/** `count` distinct ascending numbers below `below`, the last of them `below - 1`. */
export function seededSubset(seed: number, count: number, below: number): Int32Array {
  const random = seeded(seed);
  const rest = Array.from({ length: below - 1 }, (_, i) => i);
  const chosen = Array.from({ length: count - 1 }, () => at(rest.splice(Math.floor(random() * rest.length), 1), 0));
  return Int32Array.from([...chosen, below - 1]).sort();
}
