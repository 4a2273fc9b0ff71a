/** Attention over a hybrid cache: groups of KV heads with keys of their own. */
import type { Device, KeyValues, Window } from '../../src/device/device.js';
import { InternalError } from '../../src/errors.js';
import '../helpers/allclose.js';
import { describeDevices } from '../helpers/devices.js';
import { seededValues, upload, type Values } from '../helpers/device-values.js';
import { attention, type AttentionShape, type Sees } from '../helpers/reference.js';
import { expectNothingLeft } from '../helpers/tape.js';

interface HybridCase extends AttentionShape {
  readonly title: string;
  /** Keys there are in all; a group may hold part of them. */
  readonly tokens: number;
  readonly queryStart: number;
  readonly queries: number;
  readonly groups: readonly GroupCase[];
}

interface GroupCase {
  readonly kvHeads: readonly number[];
  /** Positions held, in the order of the rows; absent: every token, row = position. */
  readonly held?: readonly number[];
  readonly window?: Window;
  /** Rows of rubbish after the keys. */
  readonly spare?: number;
}

const WINDOW: Window = { sink: 3, recent: 5, block: 1 };
const whole = { heads: 4, kvHeads: 2, headDim: 8 };
const CASES: readonly HybridCase[] = [
  { ...whole, title: 'one group, one token', tokens: 20, queryStart: 19, queries: 1, groups: [{ kvHeads: [0, 1], spare: 4 }] },
  { ...whole, title: 'one group, a chunk in the middle', tokens: 20, queryStart: 11, queries: 5, groups: [{ kvHeads: [0, 1] }] },
  { ...whole, title: 'one group with heads swapped', tokens: 9, queryStart: 0, queries: 9, groups: [{ kvHeads: [1, 0] }] },
  {
    ...whole,
    title: 'a streaming ring beside a full group, one token',
    tokens: 30,
    queryStart: 29,
    queries: 1,
    groups: [
      { kvHeads: [1], spare: 2 },
      { kvHeads: [0], held: [0, 1, 2, 29, 25, 26, 27, 28], window: WINDOW },
    ],
  },
  {
    ...whole,
    title: 'a window without positions, and one with',
    tokens: 24,
    queryStart: 16,
    queries: 8,
    groups: [
      { kvHeads: [0], window: WINDOW },
      { kvHeads: [1], held: [0, 1, 2, ...range(11, 24)], window: WINDOW, spare: 3 },
    ],
  },
  {
    heads: 6,
    kvHeads: 6,
    headDim: 16,
    title: 'three groups of single-query heads with block windows',
    tokens: 40,
    queryStart: 32,
    queries: 8,
    groups: [{ kvHeads: [1, 4], window: { sink: 4, recent: 8, block: 4 } }, { kvHeads: [], spare: 1 }, { kvHeads: [0, 2, 3, 5] }],
  },
  {
    heads: 2,
    kvHeads: 2,
    headDim: 4,
    title: 'more queries than are computed at a time',
    tokens: 320,
    queryStart: 20,
    queries: 300,
    groups: [
      { kvHeads: [1], spare: 1 },
      { kvHeads: [0], held: range(4, 320), window: { sink: 0, recent: 40, block: 1 } },
    ],
  },
  {
    heads: 8,
    kvHeads: 2,
    headDim: 128,
    title: 'a prefill of everything at once',
    tokens: 70,
    queryStart: 0,
    queries: 70,
    groups: [{ kvHeads: [0, 1] }],
  },
  {
    ...whole,
    title: "heads of both kinds in a layer with the model's own window",
    tokens: 330,
    queryStart: 30,
    queries: 300,
    groups: [
      { kvHeads: [0], held: range(19, 330), window: { sink: 0, recent: 12, block: 1 }, spare: 2 },
      { kvHeads: [1], held: [0, 1, 2, ...range(26, 330)], window: { ...WINDOW, reach: 40 } },
    ],
  },
  {
    ...whole,
    title: 'a ring whose sinks the window has left in part, one token',
    tokens: 12,
    queryStart: 11,
    queries: 1,
    groups: [
      { kvHeads: [0], held: [0, 1, 2, 11, 7, 8, 9, 10], window: { ...WINDOW, reach: 10 } },
      { kvHeads: [1], held: [8, 9, 10, 11, 5, 6, 7], window: { sink: 0, recent: 7, block: 1 } },
    ],
  },
  {
    ...whole,
    title: 'a window shorter than recent and a block window within it, without positions',
    tokens: 300,
    queryStart: 10,
    queries: 290,
    groups: [
      { kvHeads: [1], window: { ...WINDOW, reach: 4 } },
      { kvHeads: [0], window: { sink: 8, recent: 16, block: 8, reach: 19 }, spare: 1 },
    ],
  },
];

describeDevices('attention over a hybrid cache', (device) => {
  test.each(CASES)('$title equals its definition', (one) => expectDefinition(device(), one));
  test('leaves no tensor behind', () => {
    for (const one of CASES) expectNothingLeft(device(), () => void run(device(), one));
  });
  test('is causal attention when one group holds everything', () => expectCausal(device()));
  test('refuses groups that do not hold every KV head once', () => expectRefusals(device()));
});

function expectDefinition(device: Device, one: HybridCase): void {
  const { q, k, v } = makeValues(one);
  const expected = attention(q.values, k.values, v.values, one, seesOf(one)).out;
  expect(run(device, one)).toBeAllclose(expected, { dtype: 'f32', length: Math.max(one.headDim, one.tokens) });
}

function expectCausal(device: Device): void {
  const one: HybridCase = { ...whole, title: '', tokens: 50, queryStart: 0, queries: 50, groups: [{ kvHeads: [0, 1] }] };
  const { q, k, v } = makeValues(one);
  device.scope(() => {
    const inputs = { q: upload(device, q), k: upload(device, k), v: upload(device, v) };
    const causal = device.download(device.causalAttention(inputs).out);
    const groups = [{ kvHeads: [0, 1], k: inputs.k, v: inputs.v, keyCount: 50 }];
    expect(device.download(device.hybridAttention(inputs.q, groups, 0))).toBeAllclose(causal, { dtype: 'f32', length: 50 });
  });
}

function expectRefusals(device: Device): void {
  device.scope(() => {
    const q = device.zeros([1, 4, 8]); // two KV heads have two query heads each
    for (const groups of [[], [[0, 0]], [[0, 2]], [[0], [0]], [[0, 1, 2]]]) {
      const keyValues = groups.map((kvHeads) => {
        const shape = [5, kvHeads.length, 8];
        return { kvHeads, k: device.zeros(shape), v: device.zeros(shape), keyCount: 5 };
      });
      expect(() => device.hybridAttention(q, keyValues, 4)).toThrow(InternalError);
    }
  });
}

function run(device: Device, one: HybridCase): Float32Array {
  const { q } = makeValues(one);
  return device.scope(() => {
    const groups = one.groups.map((group) => makeGroup(device, one, group));
    return device.download(device.hybridAttention(upload(device, q), groups, one.queryStart));
  });
}

/** The group's heads at the positions it holds, and rows of rubbish behind them. */
function makeGroup(device: Device, one: HybridCase, { kvHeads, held, window, spare = 0 }: GroupCase): KeyValues {
  const { k, v } = makeValues(one);
  const positions = held ?? range(0, one.tokens);
  const shape = [positions.length + spare, kvHeads.length, one.headDim];
  const columns = (all: Float32Array): Float32Array => {
    const rows = positions.flatMap((position) => kvHeads.flatMap((head) => [...headAt(all, one, position, head)]));
    return Float32Array.from([...rows, ...new Array<number>(spare * kvHeads.length * one.headDim).fill(1e6)]);
  };
  return {
    kvHeads,
    k: device.upload(columns(k.values), shape),
    v: device.upload(columns(v.values), shape),
    keyCount: positions.length,
    ...(held ? { keyPositions: Int32Array.from(held) } : {}),
    ...(window ? { window } : {}),
  };
}

function seesOf({ groups, queryStart }: HybridCase): Sees {
  return (query, key, kvHead) => {
    const group = groups.find(({ kvHeads }) => kvHeads.includes(kvHead));
    const position = queryStart + query;
    if (key > position || (group?.held && !group.held.includes(key))) return false;
    if (!group?.window) return true;
    const { sink, recent, block, reach = Infinity } = group.window;
    if (position - key >= reach) return false;
    return Math.floor(key / block) < sink / block || Math.floor(position / block) - Math.floor(key / block) < recent / block;
  };
}

function makeValues({ tokens, queries, heads, kvHeads, headDim }: HybridCase): Record<'q' | 'k' | 'v', Values> {
  const kept = [tokens, kvHeads, headDim];
  return seededValues(tokens, { q: [queries, heads, headDim], k: kept, v: kept });
}

function headAt(all: Float32Array, { kvHeads, headDim }: HybridCase, position: number, head: number): Float32Array {
  const start = (position * kvHeads + head) * headDim;
  return all.subarray(start, start + headDim);
}

function range(start: number, end: number): number[] {
  return Array.from({ length: end - start }, (_, i) => start + i);
}
