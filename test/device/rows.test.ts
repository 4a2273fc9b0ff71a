/** Rows and heads: gathered, scattered back, cut, joined, and written into buffers. */
import type { Device, Tensor } from '../../src/device/device.js';
import { at, InternalError } from '../../src/errors.js';
import { describeDevices } from '../helpers/devices.js';
import { seededValues, sizeOf, upload, type Values } from '../helpers/device-values.js';
import { seededInts } from '../helpers/tiny-model.js';
import { expectNothingLeft } from '../helpers/tape.js';

const SHAPES = [[5], [6, 3], [7, 2, 4]];

describeDevices('rows', (device) => {
  describe.each(SHAPES.map((shape) => ({ shape })))('of a tensor of shape $shape', ({ shape }) => {
    test('are gathered in any order, repeated or not', () => expectGathered(device(), shape));
    test('sum into the rows they were gathered from', () => expectScattered(device(), shape));
    test('are cut and joined again', () => expectCutAndJoined(device(), shape));
    test('replace those of a buffer and no others', () => expectWritten(device(), shape));
    test('leave no tensor behind', () => expectNothingLeft(device(), () => everything(device(), shape)));
  });

  test('outside the tensor are refused', () => expectRefusals(device()));
  test('heads are gathered in the order given', () => expectHeads(device()));
  test('of an embedding are those of its ids', () => expectEmbedded(device()));
  test('a sum broadcasts a vector over the rows', () => expectBroadcast(device()));
  test('the first of equal largest elements is chosen', () => expectFirstOfEquals(device()));
  test('a buffer that is filled row by row holds what was written', () => expectFilled(device()));
  test('a reshaped tensor keeps its values when the other is written into', () => expectAliasKept(device()));
});

function expectGathered(device: Device, shape: readonly number[]): void {
  const x = values(1, shape);
  const indices = seededInts(2, 9, at(shape, 0));
  const found = device.scope(() => device.download(device.gatherRows(upload(device, x), indices)));
  expect(found).toEqual(pick(x, [...indices]));
}

function expectScattered(device: Device, shape: readonly number[]): void {
  const rows = at(shape, 0) + 2; // some rows are never written
  const indices = seededInts(3, 8, rows);
  const dy = values(4, [8, ...shape.slice(1)]);
  const width = sizeOf(shape.slice(1));
  const expected = new Float32Array(rows * width);
  dy.values.forEach((value, i) => {
    const place = at(indices, Math.floor(i / width)) * width + (i % width);
    expected[place] = at(expected, place) + value;
  });
  const found = device.scope(() => device.download(device.gatherRowsBackward(upload(device, dy), indices, rows)));
  expect(found).toEqual(expected);
}

function expectCutAndJoined(device: Device, shape: readonly number[]): void {
  const x = values(5, shape);
  const rows = at(shape, 0);
  device.scope(() => {
    const tensor = upload(device, x);
    const parts = [device.sliceRows(tensor, 0, 2), device.sliceRows(tensor, 2, 1), device.sliceRows(tensor, 3, rows - 3)];
    expect(device.download(at(parts, 1))).toEqual(pick(x, [2]));
    const joined = device.concatRows(parts);
    expect(joined.shape).toEqual(shape);
    expect(device.download(joined)).toEqual(x.values);
    expect(device.download(device.concatRows([tensor]))).toEqual(x.values);
  });
}

function expectWritten(device: Device, shape: readonly number[]): void {
  const rows = at(shape, 0);
  for (const [start, count] of [
    [0, rows],
    [0, 2],
    [1, 3],
    [rows - 1, 1],
  ] as const) {
    const [buffer, written] = [values(6, shape), values(7, [count, ...shape.slice(1)])];
    const expected = buffer.values.slice();
    expected.set(written.values, start * sizeOf(shape.slice(1)));
    const found = device.scope(() => device.download(device.writeRows(upload(device, buffer), upload(device, written), start)));
    expect(found).toEqual(expected);
  }
}

function everything(device: Device, shape: readonly number[]): void {
  const x = upload(device, values(8, shape));
  const parts = [
    device.sliceRows(x, 0, 1),
    device.gatherRows(x, Int32Array.of(1, 1)),
    device.gatherRowsBackward(
      x,
      Int32Array.from(shape, () => 0),
      3,
    ),
  ];
  const buffer = device.writeRows(device.concatRows([x]), at(parts, 0), 2);
  device.free(x, ...parts, buffer);
}

function expectRefusals(device: Device): void {
  device.scope(() => {
    const x = device.zeros([4, 2]);
    expect(() => device.gatherRows(x, Int32Array.of(0, 4))).toThrow(InternalError);
    expect(() => device.gatherRows(x, Int32Array.of(-1))).toThrow(InternalError);
    expect(() => device.gatherRowsBackward(x, Int32Array.of(0, 1, 2, 3), 3)).toThrow(InternalError);
    expect(() => device.sliceRows(x, 3, 2)).toThrow(InternalError);
    expect(() => device.gatherHeads(device.zeros([2, 3, 4]), [0, 3])).toThrow();
    expect(() => device.embed(x, Int32Array.of(4))).toThrow(InternalError);
    expect(() => device.writeRows(x, device.zeros([2, 2]), 3)).toThrow(InternalError);
    expect(device.download(x)).toEqual(new Float32Array(8));
  });
}

function expectHeads(device: Device): void {
  const x = values(9, [3, 4, 2]);
  const expected = Float32Array.from(
    [0, 1, 2].flatMap((token) => [3, 0, 1].flatMap((head) => [...x.values.subarray((token * 4 + head) * 2).subarray(0, 2)])),
  );
  device.scope(() => {
    const heads = device.gatherHeads(upload(device, x), [3, 0, 1]);
    expect(heads.shape).toEqual([3, 3, 2]);
    expect(device.download(heads)).toEqual(expected);
  });
}

function expectEmbedded(device: Device): void {
  const table = values(10, [11, 6]);
  const ids = seededInts(11, 20, 11);
  expect(device.scope(() => device.download(device.embed(upload(device, table), ids)))).toEqual(pick(table, [...ids]));
}

function expectBroadcast(device: Device): void {
  const [a, b] = [values(12, [3, 5]), values(13, [5])];
  const expected = a.values.map((value, i) => value + at(b.values, i % 5));
  expect(device.scope(() => device.download(device.add(upload(device, a), upload(device, b))))).toEqual(expected);
}

function expectFirstOfEquals(device: Device): void {
  const wide = 3000; // wide enough for TensorFlow to split the row between threads
  const row = new Float32Array(wide);
  for (const place of [1200, 1201, 2999]) row[place] = 5;
  const found = device.scope(() =>
    device.downloadInts(device.argmax(device.upload(Float32Array.from([...row, ...row.toReversed()]), [2, wide]))),
  );
  expect([...found]).toEqual([1200, 0]);
}

function expectFilled(device: Device): void {
  const x = values(14, [6, 2, 3]);
  let buffer: Tensor = device.zeros([8, 2, 3]);
  for (let row = 0; row < 6; row++) {
    const written = device.upload(pick(x, [row]), [1, 2, 3]);
    buffer = device.writeRows(buffer, written, row + 1);
    device.free(written);
  }
  const [blank] = [new Float32Array(6)];
  expect(device.download(buffer)).toEqual(Float32Array.from([...blank, ...x.values, ...blank]));
  device.free(buffer);
}

function expectAliasKept(device: Device): void {
  device.scope(() => {
    const buffer = device.zeros([3, 2]);
    const alias = device.reshape(buffer, [6]);
    const written = device.writeRows(buffer, device.upload(Float32Array.of(1, 2), [1, 2]), 1);
    expect([...device.download(written)]).toEqual([0, 0, 1, 2, 0, 0]);
    expect([...device.download(alias)]).toEqual([0, 0, 0, 0, 0, 0]);
  });
}

function values(seed: number, shape: readonly number[]): Values {
  return seededValues(seed, { x: shape }).x;
}

/** Rows of x, in the order given. */
function pick({ values: all, shape }: Values, rows: readonly number[]): Float32Array {
  const width = sizeOf(shape.slice(1));
  return Float32Array.from(rows.flatMap((row) => [...all.subarray(row * width, (row + 1) * width)]));
}
