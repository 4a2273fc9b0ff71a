/**
 * The quantized number formats of GGUF files: blocks of small integers with scales of their own. Layouts are those of
 * ggml (github.com/ggml-org/llama.cpp, ggml/src/ggml-common.h and ggml-quants.c); values are rounded to float32 where its
 * Python package `gguf` (quants.py) rounds them, so that both give the same numbers to the last bit.
 */
import { float16Values } from '../float16.js';

/** Writes the values of the block at byte `start` of `source` to `target`, from `to` on. */
type UnpackBlock = (source: DataView, start: number, target: Float32Array, to: number) => void;

export interface BlockFormat {
  /** Values and bytes of one block. */
  readonly blockValues: number;
  readonly blockBytes: number;
  /** Writes whole blocks as float32; `source` may start on any byte. Absent: known, but not read here. */
  readonly widen?: (source: Uint8Array, target: Float32Array) => void;
}

/** By ggml's name. Blocks of 32 values hold 16-bit scales; those of 256 also a small scale for each 16 or 32 values. */
export const BLOCK_FORMATS: ReadonlyMap<string, BlockFormat> = new Map<string, BlockFormat>([
  ['Q4_0', format(32, 18, unpackNibbles({ fifthBit: false, minimum: false }))],
  ['Q4_1', format(32, 20, unpackNibbles({ fifthBit: false, minimum: true }))],
  ['Q5_0', format(32, 22, unpackNibbles({ fifthBit: true, minimum: false }))],
  ['Q5_1', format(32, 24, unpackNibbles({ fifthBit: true, minimum: true }))],
  ['Q8_0', format(32, 34, unpackQ8)],
  ['Q2_K', format(256, 84, unpackQ2K)],
  ['Q3_K', format(256, 110, unpackQ3K)],
  ['Q4_K', format(256, 144, unpackScaledNibbles({ fifthBit: false }))],
  ['Q5_K', format(256, 176, unpackScaledNibbles({ fifthBit: true }))],
  ['Q6_K', format(256, 210, unpackQ6K)],
  ['IQ4_NL', format(32, 18, unpackIq4Nl)],
  ['IQ4_XS', format(256, 136, unpackIq4Xs)],
  ['Q8_1', { blockValues: 32, blockBytes: 40 }],
  ['MXFP4', { blockValues: 32, blockBytes: 17 }],
  ['NVFP4', { blockValues: 64, blockBytes: 36 }],
  ['Q1_0', { blockValues: 128, blockBytes: 18 }],
  ['Q8_K', { blockValues: 256, blockBytes: 292 }],
  ['IQ1_S', { blockValues: 256, blockBytes: 50 }],
  ['IQ1_M', { blockValues: 256, blockBytes: 56 }],
  ['IQ2_XXS', { blockValues: 256, blockBytes: 66 }],
  ['IQ2_XS', { blockValues: 256, blockBytes: 74 }],
  ['IQ2_S', { blockValues: 256, blockBytes: 82 }],
  ['IQ3_XXS', { blockValues: 256, blockBytes: 98 }],
  ['IQ3_S', { blockValues: 256, blockBytes: 110 }],
  ['TQ1_0', { blockValues: 256, blockBytes: 54 }],
  ['TQ2_0', { blockValues: 256, blockBytes: 66 }],
]);

function format(blockValues: number, blockBytes: number, unpack: UnpackBlock): BlockFormat {
  return {
    blockValues,
    blockBytes,
    widen: (source, target) => {
      const view = new DataView(source.buffer, source.byteOffset, source.byteLength);
      for (let start = 0, to = 0; start < source.length; start += blockBytes, to += blockValues) unpack(view, start, target, to);
    },
  };
}

function float16At(source: DataView, start: number): number {
  return float16Values()[source.getUint16(start, true)] ?? 0;
}

/** Q4_0, Q4_1, Q5_0, Q5_1: a scale, a minimum (_1), fifth bits (Q5), then 16 bytes whose low halves are the first 16 values. */
function unpackNibbles({ fifthBit, minimum }: { readonly fifthBit: boolean; readonly minimum: boolean }): UnpackBlock {
  const bitsAt = minimum ? 4 : 2;
  const nibblesAt = bitsAt + (fifthBit ? 4 : 0);
  /** Without a minimum the integers are centred on zero. */
  const centre = minimum ? 0 : fifthBit ? 16 : 8;
  return (source, start, target, to) => {
    const scale = float16At(source, start);
    // Adding -0 changes nothing, not even the sign of a zero.
    const least = minimum ? float16At(source, start + 2) : -0;
    const bits = fifthBit ? source.getUint32(start + bitsAt, true) : 0;
    for (let i = 0; i < 16; i++) {
      const byte = source.getUint8(start + nibblesAt + i);
      const low = (byte & 15) | (((bits >>> i) & 1) << 4);
      const high = (byte >> 4) | (((bits >>> (i + 16)) & 1) << 4);
      target[to + i] = Math.fround(scale * (low - centre)) + least;
      target[to + 16 + i] = Math.fround(scale * (high - centre)) + least;
    }
  };
}

/** Q8_0: a scale and 32 signed bytes. */
function unpackQ8(source: DataView, start: number, target: Float32Array, to: number): void {
  const scale = float16At(source, start);
  for (let i = 0; i < 32; i++) target[to + i] = scale * source.getInt8(start + 2 + i);
}

/** Q2_K: for each 16 values a 4-bit scale and minimum, two bits a value, then the scales of both. */
function unpackQ2K(source: DataView, start: number, target: Float32Array, to: number): void {
  const scale = float16At(source, start + 80);
  const leastScale = float16At(source, start + 82);
  for (let part = 0; part < 16; part++) {
    const packed = source.getUint8(start + part);
    const step = Math.fround(scale * (packed & 15));
    const least = Math.fround(leastScale * (packed >> 4));
    const { byte, shift } = placeOfPair(part);
    for (let i = 0; i < 16; i++) {
      const q = (source.getUint8(start + 16 + byte + i) >> shift) & 3;
      target[to + part * 16 + i] = Math.fround(step * q) - least;
    }
  }
}

/** Q3_K: 32 bytes of third bits (0: four less), two bits a value, sixteen 6-bit scales, then the scale of those. */
function unpackQ3K(source: DataView, start: number, target: Float32Array, to: number): void {
  const scale = float16At(source, start + 108);
  for (let part = 0; part < 16; part++) {
    const low = (source.getUint8(start + 96 + (part & 7)) >> (part & 8 ? 4 : 0)) & 15;
    const high = (source.getUint8(start + 104 + (part & 3)) >> ((part >> 2) * 2)) & 3;
    const step = Math.fround(scale * ((low | (high << 4)) - 32));
    const { byte, shift } = placeOfPair(part);
    for (let i = 0; i < 16; i++) {
      const third = (source.getUint8(start + (part & 1) * 16 + i) >> (part >> 1)) & 1;
      const q = ((source.getUint8(start + 32 + byte + i) >> shift) & 3) - (third ? 0 : 4);
      target[to + part * 16 + i] = step * q;
    }
  }
}

/** Where the 16 two-bit values of a part lie: four parts share a byte, the low bits first, and 32 values lie side by side. */
function placeOfPair(part: number): { readonly byte: number; readonly shift: number } {
  return { byte: (part >> 3) * 32 + (part & 1) * 16, shift: ((part >> 1) & 3) * 2 };
}

/** Q4_K, Q5_K: scales of scales and minima, eight 6-bit pairs of them in 12 bytes, fifth bits (Q5), then four bits a value. */
function unpackScaledNibbles({ fifthBit }: { readonly fifthBit: boolean }): UnpackBlock {
  const bitsAt = 16;
  const nibblesAt = fifthBit ? 48 : 16;
  return (source, start, target, to) => {
    const scale = float16At(source, start);
    const leastScale = float16At(source, start + 2);
    for (let part = 0; part < 8; part++) {
      const step = Math.fround(scale * sixBits(source, start + 4, part, 0));
      const least = Math.fround(leastScale * sixBits(source, start + 4, part, 1));
      const from = start + nibblesAt + (part >> 1) * 32;
      const shift = (part & 1) * 4;
      for (let i = 0; i < 32; i++) {
        const fifth = fifthBit ? ((source.getUint8(start + bitsAt + i) >> part) & 1) << 4 : 0;
        const q = ((source.getUint8(from + i) >> shift) & 15) | fifth;
        target[to + part * 32 + i] = Math.fround(step * q) - least;
      }
    }
  };
}

/** The scale (`kind` 0) or minimum (1) of a part: the first four whole in a byte, the others a half with two bits from there. */
function sixBits(source: DataView, start: number, part: number, kind: 0 | 1): number {
  const whole = source.getUint8(start + kind * 4 + (part & 3));
  if (part < 4) return whole & 63;
  const half = (source.getUint8(start + 8 + (part & 3)) >> (kind * 4)) & 15;
  return half | ((whole >> 6) << 4);
}

/** Q6_K: four low bits a value, then two high ones, sixteen signed scales, then the scale of those. */
function unpackQ6K(source: DataView, start: number, target: Float32Array, to: number): void {
  const scale = float16At(source, start + 208);
  for (let part = 0; part < 16; part++) {
    const step = Math.fround(scale * source.getInt8(start + 192 + part));
    const { byte, shift } = placeOfPair(part);
    // Low bits: two groups of 32 values share 64 bytes, the low halves first.
    const lowByte = (part >> 3) * 64 + (part & 3) * 16;
    const lowShift = part & 4 ? 4 : 0;
    for (let i = 0; i < 16; i++) {
      const low = (source.getUint8(start + lowByte + i) >> lowShift) & 15;
      const high = (source.getUint8(start + 128 + byte + i) >> shift) & 3;
      target[to + part * 16 + i] = step * ((low | (high << 4)) - 32);
    }
  }
}

/** What the 16 integers of IQ4 stand for (`kvalues_iq4nl`). */
const IQ4_VALUES = Int8Array.of(-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113);

/** IQ4_NL: a scale and 16 bytes. */
function unpackIq4Nl(source: DataView, start: number, target: Float32Array, to: number): void {
  unpackIq4(source, start + 2, float16At(source, start), target, to);
}

/** IQ4_XS: the scale of scales, high bits of eight of those, low bits, then 16 bytes for each. */
function unpackIq4Xs(source: DataView, start: number, target: Float32Array, to: number): void {
  const scale = float16At(source, start);
  const highs = source.getUint16(start + 2, true);
  for (let part = 0; part < 8; part++) {
    const low = (source.getUint8(start + 4 + (part >> 1)) >> ((part & 1) * 4)) & 15;
    const high = (highs >> (part * 2)) & 3;
    unpackIq4(source, start + 8 + part * 16, Math.fround(scale * ((low | (high << 4)) - 32)), target, to + part * 32);
  }
}

function unpackIq4(source: DataView, start: number, step: number, target: Float32Array, to: number): void {
  for (let i = 0; i < 16; i++) {
    const byte = source.getUint8(start + i);
    target[to + i] = step * (IQ4_VALUES[byte & 15] ?? 0);
    target[to + 16 + i] = step * (IQ4_VALUES[byte >> 4] ?? 0);
  }
}
