import { stripVTControlCharacters } from 'node:util';
import { renderHeatMap } from '../../../src/cli/ui/heat-map.js';
import type { HeatMap } from '../../../src/report/heat-map.js';

const cell = (score: number) => ({ score, samples: 4 });
const map: HeatMap = {
  title: 'Needles',
  caption: ['sink 16, recent 64'],
  lengths: [1024, 2048],
  depths: [0, 0.5],
  panels: [
    {
      title: 'dense',
      cells: [
        [cell(1), cell(1)],
        [cell(0.75), cell(1)],
      ],
    },
    {
      title: 'all streaming',
      cells: [
        [cell(0), cell(0)],
        [cell(0), undefined],
      ],
    },
  ],
};

test('without colour the numbers say everything', () => {
  expect(renderHeatMap(map, { color: false, columns: 80 })).toBe(
    [
      'Needles',
      '',
      'dense                all streaming',
      'depth  1,024 2,048   depth  1,024 2,048',
      '   0 %  100   100       0 %   0     0',
      '  50 %   75   100      50 %   0     ·',
      '',
      'score in %, n = 4 per cell, · not run',
      'sink 16, recent 64',
      '',
    ].join('\n'),
  );
});

test('colour adds a legend and changes no cell', () => {
  const plain = renderHeatMap(map, { color: false, columns: 80 }).split('\n');
  const colored = stripVTControlCharacters(renderHeatMap(map, { color: true, columns: 80 })).split('\n');
  const cells = (lines: string[]) => lines.slice(0, 6).map((line) => line.trimEnd());
  expect(cells(colored)).toEqual(cells(plain));
  expect(colored[7]).toMatch(/^0 +100 +score in %/);
});

test.each([40, 60, 80])('no line is wider than a terminal of %i columns', (columns) => {
  const lengths = Array.from({ length: 13 }, (_, i) => 1024 * (i + 1));
  const wide: HeatMap = {
    ...map,
    lengths,
    panels: map.panels.map(({ title }) => ({ title, cells: [lengths.map(() => cell(1)), lengths.map(() => cell(0))] })),
  };
  const lines = renderHeatMap(wide, { color: false, columns }).split('\n');
  expect(Math.max(...lines.map((line) => line.length))).toBeLessThanOrEqual(columns);
  const shown = new Set(lines.join(' ').match(/\d+,\d{3}/g));
  expect([...shown].sort()).toEqual(lengths.map((length) => length.toLocaleString('en-US')).sort());
});
