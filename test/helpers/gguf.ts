/** GGUF files written for tests, whole or broken on purpose: every count, length and offset can be a lie. */

const bytesOf = (length: number, write: (view: DataView) => void): Uint8Array => {
  const view = new DataView(new ArrayBuffer(length));
  write(view);
  return new Uint8Array(view.buffer);
};

export const uint32 = (value: number): Uint8Array => bytesOf(4, (view) => view.setUint32(0, value, true));
export const uint64 = (value: number | bigint): Uint8Array => bytesOf(8, (view) => view.setBigUint64(0, BigInt(value), true));
export const joined = (...parts: readonly Uint8Array[]): Uint8Array => new Uint8Array(Buffer.concat(parts));

export function text(value: string, length?: bigint): Uint8Array {
  const bytes = new TextEncoder().encode(value);
  return joined(uint64(length ?? bytes.length), bytes);
}

/** A metadata value: its type's number and its bytes. */
export interface ValueSource {
  readonly type: number;
  readonly bytes: Uint8Array;
}

export const value = {
  uint8: (number: number): ValueSource => ({ type: 0, bytes: Uint8Array.of(number) }),
  int8: (number: number): ValueSource => ({ type: 1, bytes: Uint8Array.of(number) }),
  uint16: (number: number): ValueSource => ({ type: 2, bytes: bytesOf(2, (view) => view.setUint16(0, number, true)) }),
  int16: (number: number): ValueSource => ({ type: 3, bytes: bytesOf(2, (view) => view.setInt16(0, number, true)) }),
  uint32: (number: number): ValueSource => ({ type: 4, bytes: uint32(number) }),
  int32: (number: number): ValueSource => ({ type: 5, bytes: bytesOf(4, (view) => view.setInt32(0, number, true)) }),
  float32: (number: number): ValueSource => ({ type: 6, bytes: bytesOf(4, (view) => view.setFloat32(0, number, true)) }),
  bool: (byte: number): ValueSource => ({ type: 7, bytes: Uint8Array.of(byte) }),
  text: (string: string): ValueSource => ({ type: 8, bytes: text(string) }),
  uint64: (number: bigint): ValueSource => ({ type: 10, bytes: uint64(number) }),
  int64: (number: bigint): ValueSource => ({ type: 11, bytes: bytesOf(8, (view) => view.setBigInt64(0, number, true)) }),
  float64: (number: number): ValueSource => ({ type: 12, bytes: bytesOf(8, (view) => view.setFloat64(0, number, true)) }),
  list: (type: number, elements: readonly ValueSource[], length?: bigint): ValueSource => ({
    type: 9,
    bytes: joined(uint32(type), uint64(length ?? elements.length), ...elements.map(({ bytes }) => bytes)),
  }),
} as const;

export interface GgufTensorSource {
  readonly name: string;
  /** Number of the type; 0 is F32. */
  readonly type?: number;
  /** The length of a row first. */
  readonly dimensions: readonly (number | bigint)[];
  readonly dimensionCount?: number;
  /** Default: after the tensor before, aligned. */
  readonly offset?: number | bigint;
  readonly data: Uint8Array;
}

export interface GgufSource {
  readonly magic?: string;
  readonly version?: number;
  readonly keyCount?: bigint;
  readonly tensorCount?: bigint;
  readonly keys?: readonly (readonly [string, ValueSource])[];
  readonly tensors?: readonly GgufTensorSource[];
  readonly alignment?: number;
}

export function ggufBytes({
  magic = 'GGUF',
  version = 3,
  keyCount,
  tensorCount,
  keys = [],
  tensors = [],
  alignment = 32,
}: GgufSource): Uint8Array {
  const aligned = (bytes: number): number => Math.ceil(bytes / alignment) * alignment;
  let end = 0;
  const infos = tensors.map(({ name, type = 0, dimensions, dimensionCount, offset, data }) => {
    const start = offset ?? end;
    end += aligned(data.length);
    return joined(text(name), uint32(dimensionCount ?? dimensions.length), ...dimensions.map(uint64), uint32(type), uint64(start));
  });
  const header = joined(
    new TextEncoder().encode(magic),
    uint32(version),
    uint64(tensorCount ?? tensors.length),
    uint64(keyCount ?? keys.length),
    ...keys.map(([name, { type, bytes }]) => joined(text(name), uint32(type), bytes)),
    ...infos,
  );
  const padded = (bytes: Uint8Array): Uint8Array => joined(bytes, new Uint8Array(aligned(bytes.length) - bytes.length));
  return joined(padded(header), ...tensors.map(({ data }) => padded(data)));
}
