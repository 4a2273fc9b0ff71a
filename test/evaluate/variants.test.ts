import { Rng } from '../../src/data/rng.js';
import { makeVariants, randomMask } from '../../src/evaluate/variants.js';
import { countFull } from '../../src/pattern/mask.js';
import { seededMask } from '../helpers/tiny-model.js';

const SHAPE = { layers: 4, kvHeads: 4 };
const half = seededMask(3, SHAPE);
const OPTIONS = { masks: [half], baselines: ['dense', 'random', 'streaming'] as const, randomMasks: 3, seed: 1 };

test('dense comes first, then the pattern, its random masks, and all streaming', () => {
  const full = countFull(half);
  const ratio = `${(100 * full) / 16} %`;
  const variants = makeVariants(SHAPE, OPTIONS);
  expect(variants.map(({ name }) => name)).toEqual([
    'dense',
    `pattern ${ratio}`,
    `random ${ratio} #1`,
    `random ${ratio} #2`,
    `random ${ratio} #3`,
    'all streaming',
  ]);
  expect(variants.map(({ mask }) => countFull(mask))).toEqual([16, full, full, full, full, 0]);
});

test('random masks follow the seed, and differ from each other and from the pattern', () => {
  const hashes = (seed: number): string[] => makeVariants(SHAPE, { ...OPTIONS, seed }).map(({ maskHash }) => maskHash);
  expect(hashes(1)).toEqual(hashes(1));
  expect(new Set(hashes(1)).size).toBe(6);
  expect(hashes(2).slice(2, 5)).not.toEqual(hashes(1).slice(2, 5));
});

test('none leaves the pattern alone', () => {
  expect(makeVariants(SHAPE, { ...OPTIONS, baselines: ['none'] }).map(({ kind }) => kind)).toEqual(['pattern']);
});

test('ratios that give the same mask are one variant', () => {
  expect(makeVariants(SHAPE, { ...OPTIONS, masks: [half, half], baselines: ['none'] })).toHaveLength(1);
});

test('every head is as likely as any other to be kept', () => {
  const like = [
    [true, true],
    [false, false],
    [false, false],
  ];
  const draws = 3000;
  const kept = new Array<number>(6).fill(0);
  for (let i = 0; i < draws; i++)
    randomMask(like, Rng.from(i))
      .flat()
      .forEach((full, head) => (kept[head] = (kept[head] ?? 0) + Number(full)));
  // One third each; the standard deviation of a count is 26.
  for (const count of kept) expect(Math.abs(count - draws / 3)).toBeLessThan(130);
});
