/** Numbers as little-endian bytes, on any machine. */

export type Values = Float32Array | Int32Array | Uint8Array;

export function littleEndian(values: Values): Buffer {
  if (values instanceof Uint8Array) return Buffer.from(values);
  const bytes = Buffer.alloc(values.byteLength);
  values.forEach((value, i) => (values instanceof Float32Array ? bytes.writeFloatLE(value, 4 * i) : bytes.writeInt32LE(value, 4 * i)));
  return bytes;
}

export function readFloat32(bytes: Buffer): Float32Array {
  return Float32Array.from({ length: bytes.length / 4 }, (_, i) => bytes.readFloatLE(4 * i));
}

export function readInt32(bytes: Buffer): Int32Array {
  return Int32Array.from({ length: bytes.length / 4 }, (_, i) => bytes.readInt32LE(4 * i));
}
