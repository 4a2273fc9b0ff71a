/** Who owns what: uploads, scopes, counts and peaks. */
import type { Device, Tensor } from '../../src/device/device.js';
import { InternalError } from '../../src/errors.js';
import { describeDevices } from '../helpers/devices.js';
import { expectNothingLeft } from '../helpers/tape.js';

describeDevices('memory', (device) => {
  test('what is uploaded comes back, in a fresh array', () => expectRoundTrip(device()));
  test('a scope frees what it made but for its result, however deep', () => expectScoped(device()));
  test('a scope hands its result to the scope around it', () => expectNested(device()));
  test('a scope that throws frees everything it made', () => expectFreedOnThrow(device()));
  test('a reshape shares bytes, which go with the last of the two', () => expectShared(device()));
  test('the peak is the most held at once since it was reset', () => expectPeak(device()));
  test('a freed tensor is refused, and freeing it again does nothing', () => expectFreedRefused(device()));
  test('values that do not fill the shape are refused', () => expectSizeChecked(device()));
  test('a weight is freed with all that was derived from it', () => expectDerivedFreed(device()));
  test('of an element type other than asked for is not read', () => expectDtypeChecked(device()));
});

function expectRoundTrip(device: Device): void {
  device.scope(() => {
    const floats = device.upload(Float32Array.of(1, 2.5, -3), [3]);
    const first = device.download(floats);
    first.fill(0);
    expect([...device.download(floats)]).toEqual([1, 2.5, -3]);
    const ints = device.uploadInts(Int32Array.of(7, -8), [2, 1]);
    expect([...device.downloadInts(ints)]).toEqual([7, -8]);
    expect([floats.dtype, floats.bytes, ints.dtype, ints.bytes, ints.shape]).toEqual(['f32', 12, 'i32', 8, [2, 1]]);
  });
}

function expectScoped(device: Device): void {
  const before = device.memory();
  const outside = device.zeros([1]);
  const result = device.scope(() => {
    const [a, b, c, d] = [device.zeros([2]), device.zeros([3]), device.zeros([4]), device.add(outside, outside)];
    return { a, list: [b, { outside }], count: 3, none: undefined, bytes: c.bytes + d.bytes, array: new Float32Array(3) };
  });
  expect(device.memory().bytes - before.bytes).toBe(4 * (1 + 2 + 3));
  expect(device.download(result.a).length).toBe(2);
  device.free(outside, result.a, result.list[0] as Tensor);
  expect(device.memory()).toEqual({ ...before, peakBytes: device.memory().peakBytes });
}

function expectNested(device: Device): void {
  expectNothingLeft(device, () => {
    device.scope(() => {
      const kept = device.scope(() => device.add(device.zeros([4]), device.zeros([4])));
      expect([...device.download(kept)]).toEqual([0, 0, 0, 0]);
    });
  });
}

function expectFreedOnThrow(device: Device): void {
  expectNothingLeft(device, () => {
    const failing = (): never =>
      device.scope(() => {
        device.zeros([5]);
        throw new RangeError('on purpose');
      });
    expect(failing).toThrow('on purpose');
  });
}

function expectShared(device: Device): void {
  const before = device.memory().bytes;
  const x = device.zeros([4, 3]);
  const y = device.reshape(x, [12]);
  expect([y.shape, y.bytes, device.memory().bytes - before]).toEqual([[12], 48, 48]);
  device.free(x);
  expect(device.memory().bytes - before).toBe(48);
  expect(device.download(y).length).toBe(12);
  device.free(y);
  expect(device.memory().bytes).toBe(before);
}

function expectPeak(device: Device): void {
  const before = device.memory().bytes;
  device.resetPeak();
  device.free(device.zeros([100]), device.zeros([100]));
  device.free(device.zeros([50]));
  expect(device.memory()).toMatchObject({ bytes: before, peakBytes: before + 800 });
  device.resetPeak();
  expect(device.memory().peakBytes).toBe(before);
}

function expectFreedRefused(device: Device): void {
  const before = device.memory();
  const x = device.zeros([2]);
  device.free(x);
  device.free(x);
  expect(device.memory().tensors).toBe(before.tensors);
  expect(() => device.download(x)).toThrow('used after it was freed');
  expect(() => device.add(x, x)).toThrow(InternalError);
}

function expectSizeChecked(device: Device): void {
  expect(() => device.upload(new Float32Array(5), [2, 3])).toThrow('5 values cannot fill shape (2, 3)');
}

function expectDerivedFreed(device: Device): void {
  expectNothingLeft(device, () => {
    const [weight, x, angles] = [device.zeros([3, 2]), device.zeros([1, 2]), device.zeros([1, 1])];
    const heads = device.reshape(x, [1, 1, 2]);
    device.free(device.matmul(x, weight), device.matmul(x, weight));
    device.free(device.rope(heads, angles, angles), device.ropeBackward(heads, angles, angles));
    device.free(weight, x, heads, angles);
  });
}

function expectDtypeChecked(device: Device): void {
  device.scope(() => {
    expect(() => device.downloadInts(device.zeros([1]))).toThrow('a f32 tensor was read as i32');
    expect(() => device.download(device.uploadInts(Int32Array.of(1), [1]))).toThrow(InternalError);
  });
}
