/** Our own operations against the plain device, and what only they promise: counted calls, the same bits, writes in place. */
import { createHash } from 'node:crypto';
import { windowSees, type Device, type Tensor, type Window } from '../../src/device/device.js';
import { openDevice } from '../../src/device/runtime.js';
import { FusedDevice } from '../../src/device/tfjs/fused-device.js';
import { EnvironmentError } from '../../src/errors.js';
import '../helpers/allclose.js';
import { seededSubset, seededValues, uploadAll } from '../helpers/device-values.js';
import { seeded } from '../helpers/tiny-model.js';

interface Case {
  readonly seed: number;
  readonly tokens: number;
  readonly kvHeads: number;
  readonly group: number;
  readonly headDim: number;
  readonly queries?: number;
  readonly window?: Window;
}

type Results = Record<'out' | 'lse' | 'dq' | 'dk' | 'dv', Float32Array>;

const [fused, plain] = [await open('fused'), await open('plain')];
const describeFused = fused instanceof FusedDevice ? describe : describe.skip;

async function open(kernels: Device['kernels']): Promise<Device | undefined> {
  try {
    return await openDevice({
      device: 'tensorflow',
      threads: 2,
      warn: () => undefined,
      environment: { ...process.env, DUO_KERNELS: kernels },
    });
  } catch (error) {
    if (error instanceof EnvironmentError) return undefined;
    throw error;
  }
}

function fusedDevice(): FusedDevice {
  if (!(fused instanceof FusedDevice)) throw new Error('the fused device is absent');
  return fused;
}

function plainDevice(): Device {
  if (!plain) throw new Error('the plain device is absent');
  return plain;
}

/** Shapes drawn at random: head dimensions that fill vectors and that do not, groups, windows, queries at some positions. */
function drawCase(seed: number): Case {
  const random = seeded(seed);
  const between = (low: number, high: number): number => low + Math.floor(random() * (high - low + 1));
  const tokens = seed % 4 === 0 ? between(200, 420) : between(1, 120);
  const headDims = tokens > 120 ? [16, 36, 64] : [8, 16, 20, 36, 64, 80, 96, 128, 256];
  return {
    seed,
    tokens,
    kvHeads: between(1, 4),
    group: tokens > 120 ? between(1, 3) : between(1, 7),
    headDim: headDims[between(0, headDims.length - 1)] ?? 8,
    ...(seed % 3 === 0 ? { queries: between(1, tokens) } : {}),
    ...(seed % 2 === 0 ? { window: { sink: between(0, 40), recent: between(1, 90), block: seed % 6 === 0 ? between(2, 48) : 1 } } : {}),
  };
}

/** Forward and backward on a device; `silent` KV heads have no gradient. */
function attend(device: Device, { seed, tokens, kvHeads, group, headDim, queries, window }: Case, silent: readonly number[] = []): Results {
  const asked = [queries ?? tokens, kvHeads * group, headDim];
  const kept = [tokens, kvHeads, headDim];
  const values = seededValues(seed, { q: asked, k: kept, v: kept, dOut: asked });
  for (const x of [values.q, values.k]) x.values.forEach((value, i) => (x.values[i] = 4 * value)); // scores far apart
  values.dOut.values.forEach((_, i) => {
    if (silent.includes(Math.floor((i / headDim / group) % kvHeads))) values.dOut.values[i] = 0;
  });
  return device.scope(() => {
    const { q, k, v, dOut } = uploadAll(device, values);
    const inputs = { q, k, v, ...(queries === undefined ? {} : { queryPositions: seededSubset(seed, queries, tokens) }) };
    const forward = window ? device.streamingAttention(inputs, window) : device.causalAttention(inputs);
    const gradients = window
      ? device.streamingAttentionBackward(dOut, inputs, forward, window)
      : device.causalAttentionBackward(dOut, inputs, forward);
    const all: Readonly<Record<string, Tensor>> = { ...forward, ...gradients };
    return Object.fromEntries(Object.entries(all).map(([name, tensor]) => [name, device.download(tensor)])) as Results;
  });
}

/** A digest of every bit of the results. */
function bits(results: Readonly<Record<string, Float32Array>> = {}): string {
  const hash = createHash('sha256');
  for (const values of Object.values(results)) hash.update(values);
  return hash.digest('hex');
}

/** Size of the terms of a sum: at least that of the inputs, since they may cancel. */
function largest(values: Float32Array): number {
  return values.reduce((most, value) => Math.max(most, Math.abs(value)), 1);
}

/** The model's own window beside a streaming head's: shorter than its sinks, than sink + recent, equal to it, and longer. */
function drawReach(seed: number): Case {
  const random = seeded(1000 + seed);
  const between = (low: number, high: number): number => low + Math.floor(random() * (high - low + 1));
  const one = drawCase(2 * seed); // every second case has a window
  const window = one.window ?? { sink: 0, recent: 1, block: 1 };
  const held = window.sink + window.recent;
  const reaches = [between(1, Math.max(1, window.sink)), between(1, held), held, between(held, 2 * held), 2 ** 40];
  return { ...one, window: { ...window, reach: reaches[seed % reaches.length] ?? 1 } };
}

const CASES = [...Array.from({ length: 48 }, (_, seed) => drawCase(seed)), ...Array.from({ length: 30 }, (_, seed) => drawReach(seed))];

describeFused('fused operations', () => {
  test.each(CASES)('attention agrees with the plain operations: %j', (drawn) => {
    const [actual, expected] = [attend(fusedDevice(), drawn), attend(plainDevice(), drawn)];
    const length = drawn.headDim + drawn.tokens * drawn.group;
    for (const name of ['out', 'lse', 'dq', 'dk', 'dv'] as const) {
      expect(actual[name]).toBeAllclose(expected[name], { dtype: 'f32', length, magnitude: largest(expected[name]) });
    }
  });

  test.each(CASES.slice(0, 12))('attention has the same bits again and with one, two and three threads: %j', (drawn) => {
    const { fused: kernels } = fusedDevice();
    const runs = [2, 2, 1, 3].map((threads) => {
      kernels.setThreads(threads);
      return attend(fusedDevice(), drawn);
    });
    kernels.setThreads(2);
    for (const run of runs) expect(bits(run)).toBe(bits(runs[0]));
  });

  test.each([
    [1, 64, 5],
    [3, 20, 7],
    [8, 600, 66],
    [9, 515, 33],
    [50, 1030, 16],
    [131, 520, 70],
  ])(
    'a product of %i rows, %i deep, %i wide agrees with the plain one, forward and backward, for any number of threads',
    (rows, depth, out) => {
      const values = seededValues(rows, { x: [rows, depth], dy: [rows, out], weight: [out, depth] });
      const run = (device: Device): { y: Float32Array; dx: Float32Array } =>
        device.scope(() => {
          const { x, dy, weight } = uploadAll(device, values);
          return { y: device.download(device.matmul(x, weight)), dx: device.download(device.matmulBackward(dy, weight)) };
        });
      const { fused: kernels } = fusedDevice();
      const [one, three] = [1, 3].map((threads) => {
        kernels.setThreads(threads);
        return run(fusedDevice());
      });
      kernels.setThreads(2);
      const expected = run(plainDevice());
      expect(one?.y).toBeAllclose(expected.y, { dtype: 'f32', length: depth });
      expect(one?.dx).toBeAllclose(expected.dx, { dtype: 'f32', length: out });
      expect(bits(three)).toBe(bits(one));
    },
  );

  test('a KV head without gradient is left out, with the same bits for the others', () => {
    const drawn = { seed: 1, tokens: 150, kvHeads: 3, group: 2, headDim: 64 };
    const [all, without] = [attend(fusedDevice(), drawn), attend(fusedDevice(), drawn, [1])];
    const ofHead = (x: Float32Array, heads: number, head: number): number[] =>
      [...x].filter((_, i) => Math.floor(i / drawn.headDim) % heads === head);
    for (const head of [0, 2]) {
      expect(ofHead(without.dk, 3, head)).toEqual(ofHead(all.dk, 3, head));
      expect(ofHead(without.dv, 3, head)).toEqual(ofHead(all.dv, 3, head));
    }
    for (const x of [ofHead(without.dk, 3, 1), ofHead(without.dv, 3, 1), ofHead(without.dq, 6, 2)]) {
      expect(x.every((value) => value === 0)).toBe(true);
    }
  });

  test('every operation runs in the addon and none falls back', () => {
    const device = fusedDevice();
    const before = device.fused.calls();
    callEverything(device);
    const after = device.fused.calls();
    for (const name of Object.keys(after)) expect([name, (after[name] ?? 0) - (before[name] ?? 0)]).toEqual([name, EXPECTED_CALLS[name]]);
    expect(Object.keys(after).sort()).toEqual(Object.keys(EXPECTED_CALLS).sort());
  });

  test('rows are written in place, and into a copy where the memory is shared', () => {
    const device = fusedDevice();
    const before = device.fused.calls()['DuoWriteRows'] ?? 0;
    const rows = device.upload(Float32Array.of(1, 2), [1, 2]);
    const buffer = device.writeRows(device.zeros([3, 2]), rows, 1);
    const view = device.reshape(buffer, [6]);
    const copy = device.writeRows(buffer, rows, 2);
    expect([...device.download(view)]).toEqual([0, 0, 1, 2, 0, 0]);
    expect([...device.download(copy)]).toEqual([0, 0, 1, 2, 1, 2]);
    expect(device.fused.calls()['DuoWriteRows']).toBe(before + 1);
    const kept = device.concatRows([copy]);
    const written = device.writeRows(copy, rows, 0);
    expect([...device.download(kept)]).toEqual([0, 0, 1, 2, 1, 2]);
    expect([...device.download(written)]).toEqual([1, 2, 1, 2, 1, 2]);
    device.free(view, kept, written, rows);
  });

  test('a decode step over groups in any order of keys equals attention over all of them', () => {
    const device = fusedDevice();
    for (const seed of [1, 2, 3, 4]) expectDecode(device, seed);
  });

  test('an infinite or missing number in a query reaches its own row and no other', () => {
    const device = fusedDevice();
    const run = (value: number): Float32Array =>
      device.scope(() => {
        const { q, k, v } = seededValues(5, { q: [40, 2, 16], k: [40, 2, 16], v: [40, 2, 16] });
        q.values[7 * 32 + 3] = value;
        const uploaded = uploadAll(device, { q, k, v });
        return device.download(device.causalAttention(uploaded).out);
      });
    const [finite, broken] = [run(0.5), run(NaN)];
    broken.forEach((value, i) => {
      const row = Math.floor(i / 16);
      if (row === 14) expect(value).toBeNaN();
      else expect(value).toBe(finite[i]);
    });
  });

  test('shapes that do not fit are refused with the operation and the shapes named', () => {
    const device = fusedDevice();
    device.scope(() => {
      const q = device.zeros([4, 3, 8]);
      const k = device.zeros([4, 2, 8]);
      expect(() => device.causalAttention({ q, k, v: k })).toThrow(
        /DuoAttention: .*heads must be a multiple of kvHeads: \(4, 3, 8\), \(4, 2, 8\)/s,
      );
      expect(() => device.writeRows(device.zeros([2, 3]), device.zeros([2, 3]), 1)).toThrow(/DuoWriteRows: .*do not fit into \(2, 3\)/s);
    });
  });
});

const EXPECTED_CALLS: Readonly<Record<string, number>> = {
  DuoAttention: 2,
  DuoAttentionBackward: 2,
  DuoHybridAttention: 1,
  DuoWriteRows: 1,
  DuoGatherRows: 2,
  DuoGatherHeads: 1,
  DuoAdd: 2,
  DuoMatmul: 1,
  DuoMatmulBackward: 1,
  DuoRmsNorm: 1,
  DuoRmsNormBackward: 1,
  DuoRotate: 2,
  DuoSwiglu: 1,
  DuoSwigluBackward: 1,
  DuoMixGates: 1,
  DuoMixGatesBackward: 1,
};

function callEverything(device: Device): void {
  const window = { sink: 1, recent: 2, block: 1 };
  device.scope(() => {
    const x = device.zeros([4, 2, 8]);
    const inputs = { q: x, k: x, v: x };
    device.causalAttentionBackward(x, inputs, device.causalAttention(inputs));
    device.streamingAttentionBackward(x, inputs, device.streamingAttention(inputs, window), window);
    device.hybridAttention(x, [{ kvHeads: [0, 1], k: x, v: x, keyCount: 4 }], 0);
    device.writeRows(device.zeros([8, 2, 8]), x, 2);
    const matrix = device.zeros([4, 8]);
    device.matmulBackward(device.matmul(matrix, matrix), matrix);
    const weight = device.zeros([8]);
    device.add(device.add(x, x), weight);
    device.gatherHeads(device.sliceRows(device.gatherRows(x, Int32Array.of(3, 0)), 1, 1), [1]);
    device.rmsNorm(x, weight, 1e-5);
    device.rmsNormBackward(x, x, weight, 1e-5);
    const angles = device.zeros([4, 4]);
    device.rope(x, angles, angles);
    device.ropeBackward(x, angles, angles);
    device.swiglu(x, x);
    device.swigluBackward(x, x, x);
    const gates = device.zeros([2]);
    device.mixGates(x, x, gates);
    device.mixGatesBackward(x, x, x, gates);
  });
}

/** One query over a full head and a windowed head whose keys stand in another order and without those it does not see. */
function expectDecode(device: FusedDevice, seed: number): void {
  const [tokens, headDim, group] = [300 + 131 * seed, 64, 2];
  const window = { sink: 3, recent: 50 * seed, block: 1, ...(seed > 2 ? { reach: seed === 3 ? 40 : tokens - 1 } : {}) };
  const values = seededValues(seed, { q: [1, 2 * group, headDim], k: [tokens, 2, headDim], v: [tokens, 2, headDim] });
  const random = seeded(seed);
  const seen = Array.from({ length: tokens }, (_, key) => key).filter((key) => windowSees(window, tokens - 1, key));
  const shuffled = Int32Array.from(
    seen.map((key) => ({ key, order: random() })).sort((a, b) => a.order - b.order),
    ({ key }) => key,
  );
  device.scope(() => {
    const { q, k, v } = uploadAll(device, values);
    const one = { q, k, v, queryPositions: Int32Array.of(tokens - 1) };
    const head = (x: Tensor, n: number): Tensor => device.gatherHeads(x, [n]);
    const decoded = device.hybridAttention(
      q,
      [
        {
          kvHeads: [1],
          k: device.gatherRows(head(k, 1), shuffled),
          v: device.gatherRows(head(v, 1), shuffled),
          keyCount: seen.length,
          keyPositions: shuffled,
          window,
        },
        { kvHeads: [0], k: head(k, 0), v: head(v, 0), keyCount: tokens },
      ],
      tokens - 1,
    );
    const [full, stream] = [device.download(device.causalAttention(one).out), device.download(device.streamingAttention(one, window).out)];
    const expected = full.map((value, i) => (i < group * headDim ? value : (stream[i] ?? NaN)));
    expect(device.download(decoded)).toBeAllclose(expected, { dtype: 'f32', length: tokens });
  });
}
