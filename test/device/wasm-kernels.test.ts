/** WebAssembly's own ways of slicing, gathering, joining and multiplying, against TensorFlow.js's stock kernels. */
import * as tf from '@tensorflow/tfjs';
import { openDevice } from '../../src/device/runtime.js';
import type { Stored } from '../../src/device/tfjs/backend.js';
import { Kernels, type Raw } from '../../src/device/tfjs/kernels.js';
import { WasmKernels } from '../../src/device/tfjs/wasm-kernels.js';
import { Wasm } from '../../src/device/tfjs/wasm.js';
import '../helpers/allclose.js';
import { seededValues } from '../helpers/device-values.js';
import { toTf } from '../helpers/tape.js';

await openDevice({ device: 'wasm', warn: () => undefined });
const ours = new WasmKernels(tf);
const stock = new Kernels(tf);
const wasm = new Wasm(ours);

type Operation = (kernels: Kernels, x: Raw) => Raw;
const OPERATIONS: [string, Operation][] = [
  ...[0, 1, 2].flatMap((axis): [string, Operation][] => [
    [`slices along axis ${axis}`, (k, x) => k.slice(x, axis, 1, 2)],
    [`gathers along axis ${axis}`, (k, x) => k.gather(x, [2, 0, 2, 1], axis)],
    [`joins along axis ${axis}`, (k, x) => k.concat([x, k.slice(x, axis, 0, 1), x], axis)],
  ]),
  ['joins one tensor', (k, x) => k.concat([x], 1)],
  ['exchanges halves', (k, x) => k.swapHalves(x)],
];

test.each(OPERATIONS)('%s as the stock kernels do', (_, operation) => {
  const x = values([3, 4, 6]);
  const results = [ours, stock].map((kernels) => kernels.tidy(() => operation(kernels, x)));
  const [found, expected] = results.map(contents);
  expect(found).toEqual(expected);
  tf.dispose([x, ...results]);
});

test('whole numbers keep their type and value', () => {
  const x = tf.tensor2d([1, -2, 3, 2 ** 30], [2, 2], 'int32');
  const found = ours.gather(x, [1], 0);
  expect([found.dtype, ...found.dataSync()]).toEqual(['int32', 3, 2 ** 30]);
  tf.dispose([x, found]);
});

const PRODUCTS: [string, number, Stored][] = [
  ['few rows', 3, {}],
  ['few rows, right side transposed', 3, { b: 'transposed' }],
  ['many rows', 40, {}],
  ['many rows, right side transposed', 40, { b: 'transposed' }],
  ['many rows, left side transposed', 40, { a: 'transposed' }],
];

test.each(PRODUCTS)('multiplies batches with %s as the stock kernel does', (_, rows, stored) => {
  const inner = 24;
  const a = values(stored.a ? [3, inner, rows] : [3, rows, inner]);
  const b = values(stored.b ? [3, 7, inner] : [3, inner, 7]);
  const expected = stock.product(a, b, stored.a === 'transposed', stored.b === 'transposed');
  const found = wasm.batched(a, b, stored);
  expect(found.shape).toEqual([3, rows, 7]);
  expect(found.dataSync()).toBeAllclose(expected.dataSync(), { dtype: 'f32', length: inner });
  tf.dispose([a, b, expected, found]);
});

test('multiplies by a weight that has no transposed copy', () => {
  const before = tf.memory().numTensors;
  const [x, weight] = [values([5, 24]), values([7, 24])];
  const [found, expected] = [wasm.project(x, weight), stock.product(x, weight, false, true)];
  expect(found.dataSync()).toBeAllclose(expected.dataSync(), { dtype: 'f32', length: 24 });
  tf.dispose([x, weight, found, expected]);
  expect(tf.memory().numTensors).toBe(before);
});

function values(shape: readonly number[]): tf.Tensor {
  return toTf(seededValues(shape.length, { x: shape }).x);
}

function contents(x: Raw): object {
  return { shape: x.shape, values: x.dataSync() };
}
