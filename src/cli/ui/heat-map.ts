/** The needle heat map in the terminal: every cell shows its number, so that colour only helps. */
import { palette } from '../render.js';
import { percent, thousands, wrap } from '../../report/format.js';
import { besideEachOther } from './blocks.js';
import type { Block, TerminalView } from './blocks.js';
import type { HeatCell, HeatMap, HeatPanel } from '../../report/heat-map.js';
import { inkOn, SCORE_COLORS, scoreColor } from '../../report/palette.js';

export type { TerminalView } from './blocks.js';

const DEPTH_WIDTH = 7;
const MISSING = '·';

/** Panels side by side as far as the terminal is wide, then the legend and the caption. */
export function renderHeatMap(map: HeatMap, view: TerminalView): string {
  const panels = map.panels.flatMap((panel) => renderPanel(map, panel, view));
  return `${[palette(view.color).bold(map.title), '', ...besideEachOther(panels, view.columns), legend(map, view), ...map.caption.flatMap((line) => wrap(line, view.columns))].join('\n')}\n`;
}

/** One block, or several when the lengths do not fit the screen. */
function renderPanel(map: HeatMap, panel: HeatPanel, view: TerminalView): Block[] {
  const cellWidth = Math.max(6, ...map.lengths.map((length) => thousands(length).length + 1));
  const perBlock = Math.max(1, Math.floor((view.columns - DEPTH_WIDTH - 1) / cellWidth));
  const starts = Array.from({ length: Math.ceil(map.lengths.length / perBlock) }, (_, block) => block * perBlock);
  return starts.map((start) =>
    renderBlock(map, panel, { first: start, last: Math.min(start + perBlock, map.lengths.length), cellWidth }, view),
  );
}

interface BlockColumns {
  readonly first: number;
  readonly last: number;
  readonly cellWidth: number;
}

function renderBlock(map: HeatMap, panel: HeatPanel, { first, last, cellWidth }: BlockColumns, view: TerminalView): Block {
  const paint = palette(view.color);
  const width = Math.max(DEPTH_WIDTH + (last - first) * cellWidth, panel.title.length);
  const header = map.lengths
    .slice(first, last)
    .map((length) => center(thousands(length), cellWidth))
    .join('');
  const rows = panel.cells.map((cells, depth) => {
    const label = `${percent(map.depths[depth] ?? 0).padStart(DEPTH_WIDTH - 1)} `;
    return pad(
      label +
        cells
          .slice(first, last)
          .map((cell) => renderCell(cell, cellWidth, view))
          .join(''),
      width,
      DEPTH_WIDTH + (last - first) * cellWidth,
    );
  });
  const title = paint.bold(panel.title) + ' '.repeat(width - panel.title.length);
  return { width, lines: [title, pad(`${'depth'.padEnd(DEPTH_WIDTH)}${header}`, width, DEPTH_WIDTH + header.length), ...rows] };
}

function renderCell(cell: HeatCell | undefined, width: number, view: TerminalView): string {
  if (cell === undefined) return center(MISSING, width);
  const text = center(String(Math.round(cell.score * 100)), width);
  const background = scoreColor(cell.score);
  return palette(view.color).bgHex(background).hex(inkOn(background))(text);
}

function legend(map: HeatMap, view: TerminalView): string {
  const counts = map.panels.flatMap((panel) => panel.cells.flat()).flatMap((cell) => (cell === undefined ? [] : [cell.samples]));
  const [fewest, most] = [Math.min(...counts), Math.max(...counts)];
  const n = counts.length === 0 ? 'nothing run' : `n = ${fewest === most ? fewest : `${fewest} to ${most}`} per cell`;
  const missing = map.panels.some((panel) => panel.cells.flat().includes(undefined)) ? `, ${MISSING} not run` : '';
  const scale = SCORE_COLORS.map((color) => palette(view.color).bgHex(color)('  ')).join('');
  return `${view.color ? `0 ${scale} 100   ` : ''}score in %, ${n}${missing}`;
}

function center(text: string, width: number): string {
  const left = Math.floor((width - text.length) / 2);
  return ' '.repeat(left) + text + ' '.repeat(width - left - text.length);
}

/** `text`, which is `shown` characters wide on the screen, filled up to `width`. */
function pad(text: string, width: number, shown: number): string {
  return text + ' '.repeat(width - shown);
}
