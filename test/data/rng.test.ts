import { Rng } from '../../src/data/rng.js';

const draw = (rng: Rng, count: number): number[] => Array.from({ length: count }, () => rng.float());

/** sfc32 as its author publishes it, on 64-bit integers; seeded by the digest's first twelve bytes of `["a",1]`. */
function referenceSfc32(seeds: readonly [number, number, number], count: number): number[] {
  const mask = 0xffffffffn;
  let [a, b, c] = seeds.map((seed) => BigInt(seed) & mask) as [bigint, bigint, bigint];
  let counter = 1n;
  const next = (): number => {
    const out = (a + b + counter) & mask;
    counter = (counter + 1n) & mask;
    a = b ^ (b >> 9n);
    b = (c + (c << 3n)) & mask;
    c = ((((c << 21n) | (c >> 11n)) & mask) + out) & mask;
    return Number(out);
  };
  for (let i = 0; i < 12; i++) next();
  return Array.from({ length: count }, () => ((next() >>> 5) * 2 ** 26 + (next() >>> 6)) / 2 ** 53);
}

test('the generator is sfc32 seeded by SHA-256', async () => {
  const { createHash } = await import('node:crypto');
  const digest = createHash('sha256').update('["a",1]').digest();
  const seeds = [digest.readInt32LE(0), digest.readInt32LE(4), digest.readInt32LE(8)] as const;
  expect(draw(Rng.from('a', 1), 100)).toEqual(referenceSfc32(seeds, 100));
});

test('equal names give equal streams and other names other streams', () => {
  expect(draw(Rng.from(1, 'calibrate', 0), 20)).toEqual(draw(Rng.from(1, 'calibrate', 0), 20));
  const firsts = [Rng.from(1, 'calibrate', 0), Rng.from(2, 'calibrate', 0), Rng.from(1, 'evaluate', 0), Rng.from(1, 'calibrate', 1)];
  expect(new Set(firsts.map((rng) => rng.float())).size).toBe(4);
  // A number and its text are different names, and so are names cut elsewhere.
  expect(Rng.from('1').float()).not.toBe(Rng.from(1).float());
  expect(Rng.from('ab', 'c').float()).not.toBe(Rng.from('a', 'bc').float());
});

test('numbers are spread evenly and stay in bounds', () => {
  const rng = Rng.from('even');
  const counts = new Array<number>(10).fill(0);
  for (let i = 0; i < 20_000; i++) {
    const value = rng.int(5, 14) - 5;
    counts[value] = (counts[value] ?? Number.NaN) + 1;
  }
  // Five standard deviations of a count of 20,000 draws of one in ten.
  for (const count of counts) expect(Math.abs(count - 2000)).toBeLessThan(5 * Math.sqrt(20_000 * 0.1 * 0.9));
});

test('a shuffle keeps every item and leaves its input alone', () => {
  const items = [...Array(50).keys()];
  const shuffled = Rng.from('shuffle').shuffle(items);
  expect(items).toEqual([...Array(50).keys()]);
  expect(shuffled).not.toEqual(items);
  expect([...shuffled].sort((a, b) => a - b)).toEqual(items);
});

test('a sample has different items, and asking for too many is our mistake', () => {
  expect(new Set(Rng.from('sample').sample([...'abcdefgh'], 5)).size).toBe(5);
  expect(() => Rng.from('sample').sample([1, 2], 3)).toThrow(/^internal: 3 different items/);
});
