import { rankHeads, toMask } from '../../src/pattern/mask.js';
import { rendition } from '../../src/pattern/rendition.js';
import { formatTsv } from '../../src/pattern/tsv.js';
import { randomGates, uniforms } from '../helpers/random-gates.js';

/**
 * What readers of the TSV do, written from the description of the reference alone: clip, add noise below 1e-6, take the quantile
 * of all values (linear between neighbours, as NumPy computes it), keep what is not below it.
 */
function referenceReader(tsv: string, noise: () => number): (sparsity: number) => boolean[] {
  const values = tsv
    .trimEnd()
    .split('\n')
    .flatMap((line) => line.split('\t').map((cell) => Math.min(Math.max(Number(cell), 0), 1) + noise() * 1e-6));
  const sorted = Float64Array.from(values).sort();
  return (sparsity) => {
    const threshold = sparsity >= 1 ? 2 : sparsity <= 0 ? -1 : quantile(sorted, sparsity);
    return values.map((value) => value >= threshold);
  };
}

function quantile(sorted: Float64Array, q: number): number {
  const index = (sorted.length - 1) * q;
  const [low, high] = [sorted[Math.floor(index)] ?? NaN, sorted[Math.ceil(index)] ?? NaN];
  const t = index - Math.floor(index);
  return t >= 0.5 ? high - (high - low) * (1 - t) : low + (high - low) * t;
}

const SHAPES = [
  ['GQA 32 x 8', 32, 8],
  ['MHA 32 x 32', 32, 32],
  ['GQA 28 x 4', 28, 4],
  ['MQA 3 x 1', 3, 1],
  ['one layer', 1, 5],
  ['one head', 1, 1],
] as const;

test.each(SHAPES)('the reference reader of our TSV gets our mask at every ratio k/n, under ten noises: %s', (_name, layers, kvHeads) => {
  const gates = randomGates(layers, kvHeads, 7 * layers + kvHeads);
  const tsv = formatTsv(rendition(gates));
  const heads = layers * kvHeads;
  const masks = Array.from({ length: heads + 1 }, (_, k) => toMask({ gates }, { by: 'retrievalRatio', value: k / heads }).flat());
  const differing: string[] = [];
  for (let seed = 0; seed < 10; seed++) {
    const read = referenceReader(tsv, uniforms(seed));
    masks.forEach((mask, k) => {
      const theirs = read(1 - k / heads);
      if (theirs.length !== heads || theirs.some((full, i) => full !== mask[i])) differing.push(`${k} of ${heads} under noise ${seed}`);
    });
  }
  expect(differing).toEqual([]);
  expect(masks.map((mask) => mask.filter(Boolean).length)).toEqual(masks.map((_, k) => k));
});

describe('the rendition', () => {
  test.each(SHAPES)('keeps the ranking, in [0, 1], with neighbours at least 2e-6 apart: %s', (_name, layers, kvHeads) => {
    const gates = randomGates(layers, kvHeads, layers + 31 * kvHeads);
    const rows = rendition(gates);
    const ranked = rankHeads(gates).map(({ layer, head }) => rows[layer]?.[head] ?? NaN);
    ranked.slice(1).forEach((value, i) => expect((ranked[i] ?? NaN) - value).toBeGreaterThanOrEqual(2e-6));
    expect(Math.max(...ranked)).toBeLessThanOrEqual(1);
    expect(Math.min(...ranked)).toBeGreaterThanOrEqual(0);
  });

  test('leaves gates that are apart as they are, to the bit', () => {
    const gates = [Float32Array.of(0.1, 0.9), Float32Array.of(0.30001, 0.3)];
    expect(rendition(gates).map((row) => [...row])).toEqual(gates.map((row) => [...row]));
  });

  test('spreads a tie around its value, and downwards from 1', () => {
    const [row] = rendition([[0.5, 0.5, 0.5, 1, 1]]);
    const offsets = [0.5, 0.5, 0.5, 1, 1].map((gate, i) => Math.round(((row?.[i] ?? NaN) - gate) * 1e9) / 1e9);
    expect(offsets).toEqual([2e-6, 0, -2e-6, 0, -2e-6]);
  });

  test('no other values with these gaps are closer: a random search around it finds none', () => {
    const gates = randomGates(2, 6, 99);
    const clipped = gates.flat().map((gate) => Math.min(1, Math.max(0, gate)));
    const order = rankHeads(gates).map(({ layer, head }) => layer * 6 + head);
    const best = rendition(gates).flatMap((row) => [...row]);
    const distance = (values: readonly number[]): number => values.reduce((sum, value, i) => sum + (value - (clipped[i] ?? NaN)) ** 2, 0);
    const random = uniforms(5);
    for (let trial = 0; trial < 20_000; trial++) {
      const scale = 10 ** (-5 - 4 * random());
      const moved = best.map((value) => Math.min(1, Math.max(0, value + (random() - 0.5) * scale)));
      const allowed = order.every((index, rank) => rank === 0 || (moved[order[rank - 1] ?? 0] ?? 0) - (moved[index] ?? 0) >= 2e-6);
      if (allowed) expect(distance(moved)).toBeGreaterThanOrEqual(distance(best) - 1e-15);
    }
  });
});
