/** Seeded gates of the kinds that calibrations leave: saturated, tied on a bfloat16 grid, barely negative, and in between. */

/** mulberry32: uniform numbers in [0, 1). */
export function uniforms(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

const KINDS: readonly ((random: () => number) => number)[] = [
  () => 1,
  () => 0,
  (random) => 1 + 0.002 * random(),
  (random) => -0.002 * random(),
  (random) => Math.round(random() * 256) / 256,
  (random) => random(),
  (random) => 0.5 + 1e-7 * random(),
];

/** Raw float32 gates, [layer][kvHead]. */
export function randomGates(layers: number, kvHeads: number, seed: number): number[][] {
  const random = uniforms(seed);
  const draw = (): number => Math.fround(KINDS[Math.floor(random() * KINDS.length)]?.(random) ?? 0);
  return Array.from({ length: layers }, () => Array.from({ length: kvHeads }, draw));
}
