import { commonRuns, heldRuns, keptRuns, positionsByRow, positionsOf } from '../../src/cache/window-rows.js';
import type { CacheWindow } from '../../src/cache/window-rows.js';
import { seeded } from '../helpers/tiny-model.js';

/** What the rule says is held after `tokens` tokens, position by position. */
function heldByRule({ sink, recent }: CacheWindow, tokens: number): number[] {
  return Array.from({ length: tokens }, (_, position) => position).filter((position) => position < sink || position >= tokens - recent);
}

/** The rows after every token was stored, one chunk after the other, as the cache stores them. */
function storedRows(window: CacheWindow, chunks: readonly number[]): Map<number, number> {
  const rows = new Map<number, number>();
  let start = 0;
  for (const count of chunks) {
    for (const run of keptRuns(window, start, start + count)) {
      for (let i = 0; i < run.count; i++) rows.set(run.row + i, run.position + i);
    }
    start += count;
  }
  return rows;
}

const CASES = Array.from({ length: 60 }, (_, seed) => {
  const random = seeded(seed);
  const below = (limit: number) => Math.floor(random() * limit);
  const window = { sink: below(7), recent: 1 + below(9) };
  const chunks = Array.from({ length: 1 + below(8) }, () => 1 + below(20));
  return { seed, window, chunks, tokens: chunks.reduce((a, b) => a + b) };
});

test.each(CASES)('rows hold sink + recent however the tokens are cut (seed $seed)', ({ window, chunks, tokens }) => {
  const expected = heldByRule(window, tokens);
  expect([...positionsOf(heldRuns(window, tokens))]).toEqual(expected);
  const rows = storedRows(window, chunks);
  const byRow = [...positionsByRow(window, tokens)];
  expect(byRow.length).toBe(expected.length);
  expect(byRow).toEqual(byRow.map((_, row) => rows.get(row)));
  expect(Math.max(...rows.keys())).toBeLessThan(window.sink + window.recent);
});

test('a sink of nothing leaves one ring', () => {
  expect(heldRuns({ sink: 0, recent: 4 }, 6)).toEqual([
    { position: 2, row: 2, count: 2 },
    { position: 4, row: 0, count: 2 },
  ]);
});

test.each(CASES)('what two windows hold in common is found in the rows of the first (seed $seed)', ({ window, tokens }) => {
  const ring = { sink: 0, recent: window.sink + window.recent };
  const common = commonRuns(heldRuns(ring, tokens), heldRuns(window, tokens));
  expect([...positionsOf(common)]).toEqual(heldByRule(window, tokens).filter((position) => position >= tokens - ring.recent));
  const byRow = [...positionsByRow(ring, tokens)];
  for (const { position, row, count } of common) {
    expect(byRow.slice(row, row + count)).toEqual(Array.from({ length: count }, (_, i) => position + i));
  }
});
