/**
 * Every differentiable operation but attention, as data: its inputs, what it computes (float64), how the device is
 * called, and the same written with TensorFlow.js functions, whose gradients are taken by its own tape.
 */
import type * as TensorFlow from '@tensorflow/tfjs-core';
import type { Device, Tensor } from '../../src/device/device.js';
import { at } from '../../src/errors.js';
import { present } from '../helpers/tape.js';
import * as reference from '../helpers/reference.js';

type Named<T> = Readonly<Record<string, T>>;
type Raw = TensorFlow.Tensor;

export interface OperationCase {
  readonly title: string;
  readonly shapes: Named<readonly number[]>;
  /** Longest sum behind an element of the result or of a gradient. */
  readonly length: number;
  readonly reference: (x: Named<reference.Numbers>) => Float64Array;
  readonly forward: (device: Device, x: Named<Tensor>) => Tensor;
  /** Gradients by input; inputs without one are constants of the operation. */
  readonly backward: (device: Device, dy: Tensor, x: Named<Tensor>) => Named<Tensor>;
  readonly composite: (tf: typeof TensorFlow, x: Named<Raw>) => Raw;
}

const EPS = 1e-5;

export const OPERATION_CASES: readonly OperationCase[] = [
  ...[
    { tokens: 1, inner: 24, out: 40 },
    { tokens: 7, inner: 64, out: 24 },
    { tokens: 33, inner: 17, out: 5 },
  ].map(matmulCase),
  ...[
    { tokens: 1, width: 16 },
    { tokens: 9, width: 50 },
  ].map(rmsNormCase),
  ...[
    { tokens: 1, heads: 1, headDim: 2 },
    { tokens: 5, heads: 3, headDim: 8 },
    { tokens: 2, heads: 2, headDim: 64 },
  ].map(ropeCase),
  swigluCase(),
  ...[
    { tokens: 5, heads: 4, kvHeads: 4, headDim: 8 },
    { tokens: 3, heads: 8, kvHeads: 2, headDim: 4 },
    { tokens: 6, heads: 3, kvHeads: 1, headDim: 4 },
  ].map(mixCase),
  lossCase(),
];

function matmulCase({ tokens, inner, out }: { tokens: number; inner: number; out: number }): OperationCase {
  return {
    title: `matmul of (${tokens}, ${inner}) by (${out}, ${inner})`,
    shapes: { x: [tokens, inner], weight: [out, inner] },
    length: Math.max(inner, out),
    reference: ({ x = [], weight = [] }) => reference.matmul(x, weight, inner),
    forward: (device, x) => device.matmul(get(x, 'x'), get(x, 'weight')),
    backward: (device, dy, x) => ({ x: device.matmulBackward(dy, get(x, 'weight')) }),
    composite: (tf, x) => tf.matMul(get(x, 'x'), tf.transpose(get(x, 'weight'))),
  };
}

function rmsNormCase({ tokens, width }: { tokens: number; width: number }): OperationCase {
  return {
    title: `rmsNorm of (${tokens}, ${width})`,
    shapes: { x: [tokens, width], weight: [width] },
    length: width,
    reference: ({ x = [], weight = [] }) => reference.rmsNorm(x, weight, EPS),
    forward: (device, x) => device.rmsNorm(get(x, 'x'), get(x, 'weight'), EPS),
    backward: (device, dy, x) => ({ x: device.rmsNormBackward(dy, get(x, 'x'), get(x, 'weight'), EPS) }),
    composite: (tf, { x, weight }) => {
      const input = present(x);
      const meanSquare = tf.mean(tf.square(input), -1, true);
      return tf.mul(tf.mul(input, tf.rsqrt(tf.add(meanSquare, EPS))), present(weight));
    },
  };
}

function ropeCase({ tokens, heads, headDim }: { tokens: number; heads: number; headDim: number }): OperationCase {
  const half = headDim / 2;
  return {
    title: `rope of (${tokens}, ${heads}, ${headDim})`,
    shapes: { x: [tokens, heads, headDim], cos: [tokens, half], sin: [tokens, half] },
    length: 2,
    reference: ({ x = [], cos = [], sin = [] }) => reference.rope(x, cos, sin, heads, headDim),
    forward: (device, x) => device.rope(get(x, 'x'), get(x, 'cos'), get(x, 'sin')),
    backward: (device, dy, x) => ({ x: device.ropeBackward(dy, get(x, 'cos'), get(x, 'sin')) }),
    composite: (tf, x) => {
      const [first, second] = tf.split(get(x, 'x'), 2, 2);
      const [cos, sin] = [get(x, 'cos'), get(x, 'sin')].map((table) => tf.reshape(table, [tokens, 1, half]));
      const turned = [
        tf.sub(tf.mul(present(first), present(cos)), tf.mul(present(second), present(sin))),
        tf.add(tf.mul(present(second), present(cos)), tf.mul(present(first), present(sin))),
      ];
      return tf.concat(turned, 2);
    },
  };
}

function swigluCase(): OperationCase {
  return {
    title: 'swiglu',
    shapes: { gate: [6, 30], up: [6, 30] },
    length: 2,
    reference: ({ gate = [], up = [] }) => reference.swiglu(gate, up),
    forward: (device, x) => device.swiglu(get(x, 'gate'), get(x, 'up')),
    backward: (device, dy, x) => {
      const { dGate, dUp } = device.swigluBackward(dy, get(x, 'gate'), get(x, 'up'));
      return { gate: dGate, up: dUp };
    },
    composite: (tf, { gate, up }) => tf.mul(tf.mul(present(gate), tf.sigmoid(present(gate))), present(up)),
  };
}

function mixCase({ tokens, heads, kvHeads, headDim }: { tokens: number } & reference.AttentionShape): OperationCase {
  const shape = [tokens, heads, headDim];
  return {
    title: `mixGates of (${shape.join(', ')}) by ${kvHeads} gates`,
    shapes: { full: shape, stream: shape, gates: [kvHeads] },
    length: (tokens * heads * headDim) / kvHeads,
    reference: ({ full = [], stream = [], gates = [] }) => reference.mixGates(full, stream, gates, heads, headDim),
    forward: (device, x) => device.mixGates(get(x, 'full'), get(x, 'stream'), get(x, 'gates')),
    backward: (device, dMix, x) => {
      const { dFull, dStream, dGates } = device.mixGatesBackward(dMix, get(x, 'full'), get(x, 'stream'), get(x, 'gates'));
      return { full: dFull, stream: dStream, gates: dGates };
    },
    composite: (tf, x) => {
      const grouped = [tokens, kvHeads, heads / kvHeads, headDim];
      const g = tf.reshape(get(x, 'gates'), [1, kvHeads, 1, 1]);
      const [full, stream] = [get(x, 'full'), get(x, 'stream')].map((part) => tf.reshape(part, grouped));
      return tf.reshape(tf.add(tf.mul(g, present(full)), tf.mul(tf.sub(1, g), present(stream))), shape);
    },
  };
}

/** The loss takes no dy: its gradient is that of the loss itself. */
function lossCase(): OperationCase {
  const shape = [7, 24];
  return {
    title: 'maskedMse',
    shapes: { teacher: shape, student: shape },
    length: 7 * 24,
    reference: ({ teacher = [], student = [] }) => Float64Array.of(reference.meanSquaredError(teacher, student)),
    forward: (device, x) => device.maskedMse(get(x, 'teacher'), get(x, 'student')),
    backward: (device, dy, x) => {
      const gradient = device.scope(() => device.download(device.maskedMseBackward(get(x, 'teacher'), get(x, 'student'))));
      const factor = at(device.download(dy), 0);
      return {
        student: device.upload(
          gradient.map((value) => value * factor),
          shape,
        ),
      };
    },
    composite: (tf, x) => tf.mean(tf.square(tf.sub(get(x, 'teacher'), get(x, 'student')))),
  };
}

function get<T>(record: Named<T>, name: string): T {
  return present(record[name]);
}
