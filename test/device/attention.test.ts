/** Causal and streaming attention: definition, gradients, and what must hold between them. */
import { createHash } from 'node:crypto';
import * as tf from '@tensorflow/tfjs';
import type { Device } from '../../src/device/device.js';
import { InternalError } from '../../src/errors.js';
import '../helpers/allclose.js';
import { describeDevices } from '../helpers/devices.js';
import { attention, dot, numericGradient } from '../helpers/reference.js';
import { expectNothingLeft, tapeGradients } from '../helpers/tape.js';
import {
  describeCase,
  LARGE_CASES,
  makeData,
  run,
  seesOf,
  SMALL_CASES,
  type AttentionCase,
  type AttentionData,
  type Outcome,
} from './attention-cases.js';

type Row = [string, AttentionCase];
const rows = (cases: readonly AttentionCase[]): Row[] => cases.map((one) => [describeCase(one), one]);

describeDevices('attention', (device) => {
  test.each(rows([...SMALL_CASES, ...LARGE_CASES]))('%s equals its definition', (_, one) => expectDefinition(device(), one));
  test.each(rows(SMALL_CASES))('%s has the gradients of its definition', (_, one) => expectNumericGradients(device(), one));
  test.each(rows(LARGE_CASES))('%s has the gradients that TensorFlow.js finds', (_, one) => expectTapeGradients(device(), one));
  test.each(rows(SMALL_CASES))('%s leaves no tensor behind', (_, one) => {
    expectNothingLeft(device(), () => void run(device(), makeData(1, one), one));
  });

  test.each(rows(LARGE_CASES.filter(({ window }) => window === undefined)))(
    '%s is what streaming attention gives when the window holds every token',
    (_, one) => expectStreamingIsCausal(device(), one),
  );
  test.each(rows(LARGE_CASES.filter(({ window }) => window === undefined)))(
    '%s in a layer of the window 40 is what a window of the 40 most recent tokens gives',
    (_, one) => expectReachIsRecent(device(), one),
  );
  test('the same call gives the same bits', () => {
    for (const one of LARGE_CASES) expect(bits(run(device(), makeData(3, one), one))).toBe(bits(run(device(), makeData(3, one), one)));
  });
  test('a streaming query gives no gradient to a key it does not see', () => expectUnseenKeysUntouched(device()));
  test('refuses queries out of order, beyond the keys, or with an empty window', () => expectRefusals(device()));
});

function expectDefinition(device: Device, one: AttentionCase): void {
  const { out, lse } = run(device, makeData(2, one), one);
  const expected = once(definitions, one, defined);
  expect(out).toBeAllclose(expected.out, tolerance(one));
  expect(lse).toBeAllclose(expected.lse, tolerance(one));
}

function expectNumericGradients(device: Device, one: AttentionCase): void {
  const found = run(device, makeData(2, one), one);
  const expected = once(gradients, one, definedGradients);
  expect(found.dq).toBeAllclose(expected.dq, ofScores(one));
  expect(found.dk).toBeAllclose(expected.dk, ofScores(one));
  expect(found.dv).toBeAllclose(expected.dv, tolerance(one));
}

/** What the slow definitions give is the same for every device. */
const definitions = new Map<AttentionCase, ReturnType<typeof defined>>();
const gradients = new Map<AttentionCase, ReturnType<typeof definedGradients>>();

function once<Found>(known: Map<AttentionCase, Found>, one: AttentionCase, find: (one: AttentionCase) => Found): Found {
  const found = known.get(one) ?? find(one);
  known.set(one, found);
  return found;
}

function defined(one: AttentionCase): { readonly out: Float64Array; readonly lse: Float64Array } {
  const data = makeData(2, one);
  return attention(data.q.values, data.k.values, data.v.values, one, seesOf(one, data));
}

function definedGradients(one: AttentionCase): Record<'dq' | 'dk' | 'dv', Float64Array> {
  const data = makeData(2, one);
  const [q, k, v, dOut] = [data.q.values, data.k.values, data.v.values, data.dOut.values];
  const sees = seesOf(one, data);
  const gradient = (x: Float32Array, out: (x: Float64Array) => { readonly out: Float64Array }): Float64Array =>
    numericGradient((point) => dot(dOut, out(point).out), x);
  return {
    dq: gradient(q, (x) => attention(x, k, v, one, sees)),
    dk: gradient(k, (x) => attention(q, x, v, one, sees)),
    dv: gradient(v, (x) => attention(q, k, x, one, sees)),
  };
}

function expectTapeGradients(device: Device, one: AttentionCase): void {
  const data = makeData(4, one);
  const [dq, dk, dv] = tapeGradients(device, denseAttention(one, data), [data.q, data.k, data.v], data.dOut);
  const found = run(device, data, one);
  expect(found.dq).toBeAllclose(dq ?? [], ofScores(one));
  expect(found.dk).toBeAllclose(dk ?? [], ofScores(one));
  expect(found.dv).toBeAllclose(dv ?? [], tolerance(one));
}

/** Attention with a dense mask, written with TensorFlow.js functions alone. */
function denseAttention(one: AttentionCase, data: AttentionData): (...x: tf.Tensor[]) => tf.Tensor {
  const { heads, kvHeads, headDim, tokens } = one;
  const [queries = 0] = data.q.shape;
  const sees = seesOf(one, data);
  const bias = Array.from({ length: queries }, (_, query) => Array.from({ length: tokens }, (_, key) => (sees(query, key, 0) ? 0 : -1e9)));
  return (q, k, v) => {
    const grouped = [kvHeads, heads / kvHeads, queries, headDim];
    const byHead = (x: tf.Tensor): tf.Tensor => tf.reshape(tf.transpose(x, [1, 0, 2]), [kvHeads, 1, tokens, headDim]);
    const wide = (x: tf.Tensor): tf.Tensor =>
      tf.concat(
        Array.from({ length: heads / kvHeads }, () => byHead(x)),
        1,
      );
    const scaled = tf.mul(tf.reshape(tf.transpose(q ?? tf.zeros([]), [1, 0, 2]), grouped), 1 / Math.sqrt(headDim));
    const keys = tf.transpose(wide(k ?? tf.zeros([])), [0, 1, 3, 2]);
    const p = tf.softmax(tf.add(tf.matMul(scaled, keys), tf.tensor(bias)));
    return tf.transpose(tf.reshape(tf.matMul(p, wide(v ?? tf.zeros([]))), [heads, queries, headDim]), [1, 0, 2]);
  };
}

function expectStreamingIsCausal(device: Device, one: AttentionCase): void {
  const data = makeData(5, one);
  const causal = run(device, data, one);
  for (const window of [
    { sink: 0, recent: one.tokens, block: 1 },
    { sink: 3, recent: one.tokens + 9, block: 1 },
    { sink: 128, recent: 256, block: 128 },
    { sink: 3, recent: one.tokens, block: 1, reach: one.tokens },
    { sink: 0, recent: 2 ** 40, block: 1, reach: 2 ** 40 },
  ]) {
    const streaming = run(device, data, { ...one, window });
    for (const name of Object.keys(causal) as (keyof Outcome)[]) expect(streaming[name]).toBeAllclose(causal[name], tolerance(one));
  }
}

/** A head without a window of its own in a layer of the model's window, and one whose own window is the longer. */
function expectReachIsRecent(device: Device, one: AttentionCase): void {
  const data = makeData(8, one);
  const recent = run(device, data, { ...one, window: { sink: 0, recent: 40, block: 1 } });
  for (const window of [
    { sink: 0, recent: one.tokens, block: 1, reach: 40 },
    { sink: 40, recent: 40, block: 1, reach: 40 },
    { sink: 128, recent: 256, block: 128, reach: 40 },
  ]) {
    const reached = run(device, data, { ...one, window });
    for (const name of Object.keys(recent) as (keyof Outcome)[]) expect(reached[name]).toBeAllclose(recent[name], tolerance(one));
  }
}

function expectUnseenKeysUntouched(device: Device): void {
  const one: AttentionCase = { tokens: 200, heads: 2, kvHeads: 1, headDim: 8, window: { sink: 4, recent: 8, block: 1 }, queries: 1 };
  const { dk, dv } = run(device, makeData(6, one), one); // its one query is the last token
  for (const gradient of [dk, dv]) {
    expect(gradient.subarray(4 * 8, 192 * 8).every((value) => value === 0)).toBe(true);
    expect(gradient.subarray(0, 4 * 8).every((value) => value !== 0)).toBe(true);
    expect(gradient.subarray(192 * 8).every((value) => value !== 0)).toBe(true);
  }
  const near = run(device, makeData(6, one), { ...one, window: { sink: 4, recent: 8, block: 1, reach: 198 } });
  for (const gradient of [near.dk, near.dv]) {
    expect(gradient.subarray(0, 2 * 8).every((value) => value === 0)).toBe(true); // sinks that the model's window has left
    expect(gradient.subarray(2 * 8, 4 * 8).every((value) => value !== 0)).toBe(true);
  }
}

function expectRefusals(device: Device): void {
  const one: AttentionCase = { tokens: 6, heads: 1, kvHeads: 1, headDim: 8, queries: 3, window: { sink: 1, recent: 2, block: 1 } };
  const data = makeData(7, one);
  const at = (...positions: number[]): AttentionData => ({ ...data, queryPositions: Int32Array.from(positions) });
  expect(() => run(device, at(3, 1, 4), one)).toThrow(InternalError);
  expect(() => run(device, at(3, 4, 6), one)).toThrow(InternalError);
  expect(() => run(device, at(3, 4), one)).toThrow(InternalError);
  expect(() => run(device, data, { ...one, window: { sink: 1, recent: 0, block: 1 } })).toThrow(InternalError);
  expect(() => run(device, data, { ...one, window: { sink: 1, recent: 2, block: 1, reach: 0 } })).toThrow(InternalError);
}

/** Sums run over the head dimension, the keys, or for keys the queries and their group. */
function tolerance({ tokens, headDim, heads, kvHeads }: AttentionCase): { dtype: 'f32'; length: number } {
  return { dtype: 'f32', length: Math.max(headDim, (tokens * heads) / kvHeads) };
}

/** The gradient of a score is a difference of two numbers of the size of dOut, which may cancel. */
function ofScores(one: AttentionCase): { dtype: 'f32'; length: number; magnitude: number } {
  return { ...tolerance(one), magnitude: 1 };
}

function bits(outcome: Outcome): string {
  const hash = createHash('sha256');
  for (const values of Object.values(outcome) as Float32Array[]) hash.update(values);
  return hash.digest('hex');
}
