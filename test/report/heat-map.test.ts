import { heatPanels } from '../../src/report/heat-map.js';
import type { HeatMap } from '../../src/report/heat-map.js';
import { heatMapSvg } from '../../src/report/heat-map-svg.js';
import { inkOn, SCORE_COLORS, scoreColor } from '../../src/report/palette.js';
import { svgToPng } from '../../src/report/png.js';

const axes = { lengths: [1024, 2048], depths: [0, 1] };
const points = [
  { panel: 'dense', length: 1024, depth: 0, score: 1 },
  { panel: 'dense', length: 1024, depth: 0, score: 0 },
  { panel: 'dense', length: 2048, depth: 1, score: 1 },
];
const map: HeatMap = { title: 'Needles', caption: ['sink 16, recent 64, seed 1'], ...axes, panels: heatPanels(['dense'], axes, points) };

test('a cell holds the mean and the number of its samples, and one without samples stays empty', () => {
  expect(map.panels[0]?.cells).toEqual([
    [{ score: 0.5, samples: 2 }, undefined],
    [undefined, { score: 1, samples: 1 }],
  ]);
});

test('the SVG names every axis value, score, count, missing cell and caption line', () => {
  const svg = heatMapSvg(map);
  for (const text of ['Needles', 'dense', '1,024', '2,048', '0 %', '100 %', 'n = 2', 'n = 1', 'not run', map.caption[0]]) {
    expect(svg).toContain(`>${text}</text>`);
  }
});

test('a long title is smaller, so that it stays inside the picture', () => {
  const fontSize = (title: string): number =>
    Number(new RegExp(`font-size:\\s?(\\d+)px[^>]*>${title}<`).exec(heatMapSvg({ ...map, title }))?.[1]);
  expect(fontSize('Needles')).toBe(17);
  expect(fontSize('N'.repeat(100))).toBeLessThan(10);
});

test('the PNG is one, at twice the size of the SVG', async () => {
  const svg = heatMapSvg(map);
  const png = Buffer.from(await svgToPng(svg));
  expect(png.subarray(0, 8)).toEqual(Buffer.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]));
  expect(png.readUInt32BE(16)).toBe(2 * Number(/width="(\d+)"/.exec(svg)?.[1]));
});

test('colours run from the first stop to the last and never get darker', () => {
  expect([scoreColor(0), scoreColor(1)]).toEqual([SCORE_COLORS[0], SCORE_COLORS.at(-1)]);
  const brightness = Array.from({ length: 21 }, (_, i) => channels(scoreColor(i / 20)).reduce((a, b) => a + b));
  expect(brightness).toEqual([...brightness].sort((a, b) => a - b));
});

test.each([0, 0.2, 0.4, 0.5, 0.6, 0.8, 1])('the number on a cell of score %f has a contrast of at least 4.5', (score) => {
  const [a, b] = [luminance(scoreColor(score)), luminance(inkOn(scoreColor(score)))].sort((x, y) => y - x) as [number, number];
  expect((a + 0.05) / (b + 0.05)).toBeGreaterThanOrEqual(4.5);
});

function channels(color: string): number[] {
  return [1, 3, 5].map((start) => Number.parseInt(color.slice(start, start + 2), 16));
}

/** Relative luminance as WCAG 2 defines it. */
function luminance(color: string): number {
  const [red, green, blue] = channels(color).map((value) => {
    const share = value / 255;
    return share <= 0.03928 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
  }) as [number, number, number];
  return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
}
