/** float16 as numbers: every value has an exact float32. */

/** All 65,536 values, made at first use. */
let values: Float32Array | undefined;

/** The value of every float16 by its 16 bits. */
export function float16Values(): Float32Array {
  return (values ??= Float32Array.from({ length: 65_536 }, (_, half) => float16Value(half)));
}

function float16Value(half: number): number {
  const sign = half & 0x8000 ? -1 : 1;
  const exponent = (half >> 10) & 0x1f;
  const fraction = half & 0x3ff;
  if (exponent === 0) return sign * fraction * 2 ** -24;
  if (exponent === 0x1f) return fraction === 0 ? sign * Infinity : Number.NaN;
  return sign * (1 + fraction / 1024) * 2 ** (exponent - 15);
}
