/** Operations against their float64 definitions; gradients against central differences and against TensorFlow.js's own. */
import * as tf from '@tensorflow/tfjs';
import type { Device } from '../../src/device/device.js';
import { at } from '../../src/errors.js';
import '../helpers/allclose.js';
import { describeDevices } from '../helpers/devices.js';
import { mapRecord, seededValues, sizeOf, upload, uploadAll, type Values } from '../helpers/device-values.js';
import { expectNothingLeft, present, tapeGradients } from '../helpers/tape.js';
import { dot, numericGradient } from '../helpers/reference.js';
import { OPERATION_CASES, type OperationCase } from './operation-cases.js';

interface Made {
  readonly inputs: Record<string, Values>;
  readonly dy: Values;
}

describeDevices('operations', (device) => {
  describe.each(OPERATION_CASES)('$title', (operation) => {
    test('equals its definition', () => expectForward(device(), operation));
    test('has the gradients of its definition', () => expectNumericGradients(device(), operation));
    test('has the gradients that TensorFlow.js finds', () => expectTapeGradients(device(), operation));
    test('leaves no tensor behind and changes no input', () => expectClean(device(), operation));
  });
});

function expectForward(device: Device, operation: OperationCase): void {
  const { inputs } = make(operation);
  const out = device.scope(() => device.download(operation.forward(device, uploadAll(device, inputs))));
  expect(out).toBeAllclose(operation.reference(valuesOf(inputs)), { dtype: 'f32', length: operation.length });
}

function expectNumericGradients(device: Device, operation: OperationCase): void {
  const { inputs, dy } = make(operation);
  const values = valuesOf(inputs);
  for (const [name, gradient] of Object.entries(gradientsOf(device, operation))) {
    const loss = (x: Float64Array): number => dot(dy.values, operation.reference({ ...values, [name]: x }));
    expect(gradient).toBeAllclose(numericGradient(loss, values[name] ?? []), { dtype: 'f32', length: operation.length });
  }
}

function expectTapeGradients(device: Device, operation: OperationCase): void {
  const { inputs, dy } = make(operation);
  const found = gradientsOf(device, operation);
  const names = Object.keys(inputs);
  const composite = (...x: tf.Tensor[]): tf.Tensor => operation.composite(tf, Object.fromEntries(names.map((name, i) => [name, at(x, i)])));
  const gradients = tapeGradients(device, composite, Object.values(inputs), dy);
  names.forEach((name, i) => {
    const gradient = found[name];
    if (gradient) expect(gradient).toBeAllclose(at(gradients, i), { dtype: 'f32', length: operation.length });
  });
}

function expectClean(device: Device, operation: OperationCase): void {
  const { inputs, dy } = make(operation);
  const given = { ...inputs, dy };
  expectNothingLeft(device, () => {
    const tensors = uploadAll<string>(device, given);
    const made = [operation.forward(device, tensors), ...Object.values(operation.backward(device, present(tensors['dy']), tensors))];
    const kept = mapRecord(tensors, (tensor) => device.download(tensor));
    device.free(...made, ...Object.values(tensors));
    expect(kept).toEqual(valuesOf(given));
  });
}

/** Inputs and a gradient to the result, seeded by the operation's name. */
function make(operation: OperationCase): Made {
  const inputs = seededValues(operation.title.length, operation.shapes);
  const result = operation.reference(valuesOf(inputs));
  const { dy } = seededValues(7, { dy: resultShape(operation, result.length) });
  return { inputs, dy };
}

/** Results have the first input's leading dimensions; the loss is a scalar. */
function resultShape({ shapes }: OperationCase, size: number): readonly number[] {
  const first = at(Object.values(shapes), 0);
  if (size === 1) return [];
  return size === sizeOf(first) ? first : [at(first, 0), size / at(first, 0)];
}

function gradientsOf(device: Device, operation: OperationCase): Record<string, Float32Array> {
  const { inputs, dy } = make(operation);
  return device.scope(() =>
    mapRecord(operation.backward(device, upload(device, dy), uploadAll(device, inputs)), (gradient) => device.download(gradient)),
  );
}

function valuesOf(inputs: Readonly<Record<string, Values>>): Record<string, Float32Array> {
  return mapRecord(inputs, ({ values }) => values);
}
