import { stripVTControlCharacters } from 'node:util';
import { differenceMap, gateMap, maskMap, renderHeadMaps } from '../../../src/cli/ui/gate-map.js';
import { toMask } from '../../../src/pattern/mask.js';
import { randomGates } from '../../helpers/random-gates.js';

const plain = { color: false, columns: 80 };
const gates = [
  [0.99, 0.7, 0.5, 0.2, 0.01, 1, 0.04, 0.96],
  [0, 0, 1, 1, 0.05, 0.35, 0.65, 0.95],
  [-0.001, 1.001, 0.3, 0.6, 0.9, 0.1, 0.2, 0.4],
];
const half = toMask({ gates }, { by: 'retrievalRatio', value: 0.5 });

test('80 columns without colour: gates and mask side by side, glyphs that need no colour, and what they mean', () => {
  expect(`\n${renderHeadMaps([gateMap('gates', gates), maskMap('mask at ratio 50%', half)], plain).join('\n')}\n`).toBe(`
gates                   mask at ratio 50%
layer 0       4         layer 0       4
    0 ██▓▓▒▒░░· ██· ██      0 ██████· · ██· ██ 5
    1 · · ████░░▒▒▓▓██      1 · · ████· · ████ 4
    2 · ██░░▒▒▓▓░░░░▒▒      2 · ██· ████· · ·  3

· < 0.05   ░ < 0.35   ▒ < 0.65   ▓ < 0.95   █ 0.95 or more
█ retrieval (full cache)   · streaming (sink + recent)
`);
});

test('the difference of two masks shows which one keeps a head', () => {
  const other = half.map((row, layer) => row.map((full, head) => (layer === 1 && head < 3 ? !full : full)));
  expect(`\n${renderHeadMaps([differenceMap('heads at ratio 50%', half, other)], plain).join('\n')}\n`).toBe(`
heads at ratio 50%
layer 0       4
    0 ██████· · ██· ██
    1 B B A ██· · ████
    2 · ██· ████· · ·

█ retrieval (full cache)   · streaming (sink + recent)   A only in A   B only in B
`);
});

test('32 KV heads fit 80 columns two characters wide, with the count of each layer', () => {
  const lines = renderHeadMaps([maskMap('mask', toMask({ gates: randomGates(2, 32, 4) }, { by: 'sparsity', value: 0.5 }))], plain);
  expect(lines[2]).toHaveLength(6 + 64 + 3);
});

test('a wider model is drawn one character a head, and folded into bands where that is too wide, too', () => {
  const narrow = renderHeadMaps([gateMap('gates', randomGates(2, 64, 4))], plain);
  expect(narrow[2]).toHaveLength(6 + 64);
  const folded = renderHeadMaps([gateMap('gates', randomGates(2, 128, 4))], plain);
  expect(folded.filter((line) => line.startsWith('gates'))).toEqual(['gates', 'gates (from head 72)']);
  expect(
    folded
      .slice(0, 9)
      .filter((line) => /^ +1 /.test(line))
      .join('')
      .replaceAll(/ +1 /g, ''),
  ).toHaveLength(128);
});

test.each([20, 40, 79, 80, 200])('no line is wider than %i columns, whatever the model', (columns) => {
  for (const kvHeads of [1, 2, 8, 32, 40, 64, 128]) {
    const rows = randomGates(3, kvHeads, kvHeads);
    const mask = toMask({ gates: rows }, { by: 'sparsity', value: 0.5 });
    const lines = renderHeadMaps([gateMap('gates', rows), maskMap('mask', mask)], { color: false, columns });
    const map = lines.filter((line) => /^ *\d+ |^layer/.test(line));
    expect(Math.max(...map.map((line) => line.length))).toBeLessThanOrEqual(columns);
  }
});

/** WCAG contrast of a colour of the 6 x 6 x 6 cube or the grey ramp with black and with white. */
function contrasts(color: number): { black: number; white: number } {
  const steps = [0, 95, 135, 175, 215, 255];
  const cube = [Math.floor((color - 16) / 36), Math.floor((color - 16) / 6) % 6, (color - 16) % 6].map((step) => steps[step] ?? NaN);
  const channels = color >= 232 ? [0, 0, 0].map(() => 8 + 10 * (color - 232)) : cube;
  const [red = NaN, green = NaN, blue = NaN] = channels.map((channel) => {
    const value = channel / 255;
    return value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4;
  });
  const luminance = 0.2126 * red + 0.7152 * green + 0.0722 * blue;
  return { black: (luminance + 0.05) / 0.05, white: 1.05 / (luminance + 0.05) };
}

test('every colour stands out from a black and from a white background (contrast of 3 or more)', () => {
  const text = renderHeadMaps([gateMap('gates', gates), differenceMap('d', half, half)], { color: true, columns: 80 }).join('');
  const colors = new Set([...text.matchAll(/38;5;(\d+)m/g)].map(([, color]) => Number(color)));
  expect(colors.size).toBeGreaterThanOrEqual(6);
  for (const color of colors) {
    const { black, white } = contrasts(color);
    expect([color, black >= 3, white >= 3]).toEqual([color, true, true]);
  }
});

test('colour changes nothing but colour', () => {
  const maps = [gateMap('gates', gates), maskMap('mask', half)];
  const painted = renderHeadMaps(maps, { color: true, columns: 80 }).map((line) => stripVTControlCharacters(line).trimEnd());
  expect(painted).toEqual(renderHeadMaps(maps, plain).map((line) => line.trimEnd()));
});
