import { assembleExact, assembleReference } from '../../src/data/assemble.js';
import { openHaystack } from '../../src/data/haystack.js';
import { tokenizer } from '../helpers/duo-mini.js';

/** A script of six tokens that no text holds. */
const SCRIPT = {
  head: [-1],
  needles: [[-2], [-3]],
  turns: [{ before: [], ask: [-4], value: [-5] }],
  tail: [-6],
  count: 6,
};

const text = openHaystack('synthetic').text('training');

test('needles go where the last sentence before their depth starts, and two may share a place', () => {
  const haystack = { ids: Int32Array.from([10, 11, 12, 13, 14, 15, 16, 17, 18, 19]), starts: [0, 3, 8] };
  const { ids, placed } = assembleExact(SCRIPT, haystack, [0.3, 0.79]);
  expect([...ids]).toEqual([-1, 10, 11, 12, -2, -3, 13, 14, 15, 16, 17, 18, 19, -4, -5, -6]);
  expect(placed).toEqual([0.3, 0.3]);
  expect([...assembleExact(SCRIPT, haystack, [0, 1]).ids]).toEqual([-1, -2, 10, 11, 12, 13, 14, 15, 16, 17, -3, 18, 19, -4, -5, -6]);
});

test.each(Array.from({ length: 16 }, (_, offset) => 500 + offset))(
  "the reference's layout pads %i haystack tokens by 1 to 16 from the end of the text it holds",
  (haystackTokens) => {
    const { ids } = assembleReference(SCRIPT, text, tokenizer, { haystackTokens, longestTokens: 1000 }, [0.1, 0.2]);
    const padding = ids.length - SCRIPT.count - haystackTokens;
    expect(ids.length % 16).toBe(0);
    expect(padding).toBeGreaterThanOrEqual(1);
    expect(padding).toBeLessThanOrEqual(16);
    const held = text.stretch(tokenizer, 0, 1000 - 300 - SCRIPT.count).ids;
    const block = 3;
    expect(ids.slice(-block - padding, -block)).toEqual(held.slice(-padding));
    expect(ids.filter((id) => id >= 0).slice(0, haystackTokens)).toEqual(held.slice(0, haystackTokens));
  },
);
