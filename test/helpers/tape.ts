/** TensorFlow.js beside our device: its gradients as a second opinion, and its count of tensors. */
import * as tf from '@tensorflow/tfjs';
import type { Device } from '../../src/device/device.js';
import type { Values } from './device-values.js';

/** Gradients of `composite` to each of `inputs` when its result has gradient `dy`, on the backend that `device` uses. */
export function tapeGradients(
  device: Device,
  composite: (...inputs: tf.Tensor[]) => tf.Tensor,
  inputs: readonly Values[],
  dy: Values,
): (Float32Array | Int32Array | Uint8Array)[] {
  void tf.setBackend(device.name); // both backends were initialised when the devices were opened
  return tf.tidy(() =>
    tf
      .grads(composite)(inputs.map(toTf), toTf(dy))
      .map((gradient) => gradient.dataSync()),
  );
}

/** Runs `body` twice, and expects that the second time leaves no tensor: neither of ours nor of TensorFlow.js's. */
export function expectNothingLeft(device: Device, body: () => void): void {
  body(); // constants are made at the first use and kept
  const before = counts(device);
  body();
  expect(counts(device)).toEqual(before);
}

export function toTf({ values, shape }: Values): tf.Tensor {
  return tf.tensor(values, [...shape]);
}

export function present<T>(value: T | undefined): T {
  if (value === undefined) throw new Error('a value that the test needs is missing');
  return value;
}

function counts(device: Device): object {
  const { tensors, bytes } = device.memory();
  const { numTensors, numDataBuffers } = tf.memory();
  return { tensors, bytes, numTensors, numDataBuffers };
}
