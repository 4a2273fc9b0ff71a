/** The needle heat map as SVG, drawn by echarts without a browser. */
import { HeatmapChart } from 'echarts/charts';
import { GridComponent, TitleComponent, VisualMapComponent } from 'echarts/components';
import * as echarts from 'echarts/core';
import { SVGRenderer } from 'echarts/renderers';
import { percent, thousands, wrap } from './format.js';
import type { HeatCell, HeatMap, HeatPanel } from './heat-map.js';
import { inkOn, SCORE_COLORS, scoreColor } from './palette.js';

echarts.use([HeatmapChart, GridComponent, TitleComponent, VisualMapComponent, SVGRenderer]);

/** The family the PNG is drawn with; a browser without it falls back to its own sans-serif. */
export const FONT = 'DejaVu Sans, sans-serif';

const CELL = { width: 76, height: 46 };
const MARGIN = { left: 78, right: 22, top: 34, bottom: 54 };
const LEGEND_WIDTH = 96;
const HEADER_HEIGHT = 46;
const LINE_HEIGHT = 17;
const MIN_WIDTH = 640;
const MAX_WIDTH = 1500;
/** Mean widths of a character in the panel titles and in the caption. */
const TITLE_CHARACTER = 9.6;
const CAPTION_CHARACTER = 7.3;
/** Mean width of a bold character, of its size. */
const BOLD_WIDTH = 0.7;
const MISSING = '#ffffff';

interface Layout {
  readonly panelWidth: number;
  readonly panelHeight: number;
  readonly columns: number;
  readonly width: number;
  readonly height: number;
  readonly caption: readonly string[];
}

/** The whole picture as one SVG document. */
export function heatMapSvg(map: HeatMap): string {
  const layout = layOut(map);
  const chart = echarts.init(null, null, { renderer: 'svg', ssr: true, width: layout.width, height: layout.height });
  try {
    chart.setOption(options(map, layout));
    return chart.renderToSVGString();
  } finally {
    chart.dispose();
  }
}

function layOut(map: HeatMap): Layout {
  const titleWidth = Math.max(...map.panels.map((panel) => panel.title.length)) * TITLE_CHARACTER;
  // A title may hang over into the space left of the next panel.
  const panelWidth = MARGIN.left + Math.max(titleWidth - MARGIN.left / 2, map.lengths.length * CELL.width + MARGIN.right);
  const panelHeight = MARGIN.top + map.depths.length * CELL.height + MARGIN.bottom;
  const columns = Math.max(1, Math.min(map.panels.length === 4 ? 2 : 3, map.panels.length, Math.floor(MAX_WIDTH / panelWidth)));
  const rows = Math.ceil(map.panels.length / columns);
  const width = Math.max(MIN_WIDTH, columns * panelWidth + LEGEND_WIDTH);
  const caption = map.caption.flatMap((line) => wrap(line, Math.floor((width - 32) / CAPTION_CHARACTER)));
  const height = HEADER_HEIGHT + rows * panelHeight + caption.length * LINE_HEIGHT + 18;
  return { panelWidth, panelHeight, columns, width, height, caption };
}

function options(map: HeatMap, layout: Layout): Record<string, unknown> {
  const places = map.panels.map((_, index) => ({
    left: (index % layout.columns) * layout.panelWidth + MARGIN.left,
    top: HEADER_HEIGHT + Math.floor(index / layout.columns) * layout.panelHeight + MARGIN.top,
    width: map.lengths.length * CELL.width,
    height: map.depths.length * CELL.height,
  }));
  return {
    animation: false,
    backgroundColor: '#ffffff',
    textStyle: { fontFamily: FONT, color: '#1a1a1a' },
    title: [heading(map.title, layout.width), captionOf(layout), ...map.panels.map((panel, index) => panelTitle(panel, places[index]))],
    grid: places,
    xAxis: places.map((_, gridIndex) => axis(gridIndex, 'context tokens', map.lengths.map(thousands), 34)),
    yAxis: places.map((_, gridIndex) => ({ ...axis(gridIndex, 'needle depth', map.depths.map(percent), 54), inverse: true })),
    visualMap: legend(layout),
    series: map.panels.map(series),
  };
}

function text(size: number, weight: 'normal' | 'bold' = 'normal'): Record<string, unknown> {
  return { fontFamily: FONT, fontSize: size, fontWeight: weight, color: '#1a1a1a' };
}

/** In one line, smaller where a model's name is long. */
function heading(title: string, width: number): Record<string, unknown> {
  const size = Math.min(17, Math.floor((width - 32) / (title.length * BOLD_WIDTH)));
  return { text: title, left: 16, top: 12, textStyle: text(size, 'bold') };
}

function captionOf(layout: Layout): Record<string, unknown> {
  const style = { ...text(12), lineHeight: LINE_HEIGHT };
  return { text: layout.caption.join('\n'), left: 16, top: layout.height - layout.caption.length * LINE_HEIGHT - 14, textStyle: style };
}

function panelTitle(panel: HeatPanel, place: { left: number; top: number } | undefined): Record<string, unknown> {
  return { text: panel.title, left: (place?.left ?? 0) - 4, top: (place?.top ?? 0) - 28, textStyle: text(14, 'bold') };
}

function axis(gridIndex: number, name: string, data: readonly string[], nameGap: number): Record<string, unknown> {
  return {
    gridIndex,
    type: 'category',
    data,
    name,
    nameLocation: 'middle',
    nameGap,
    nameTextStyle: text(12),
    axisLabel: { ...text(12), interval: 0 },
    axisTick: { show: false },
    axisLine: { show: false },
  };
}

function legend(layout: Layout): Record<string, unknown> {
  return {
    type: 'continuous',
    min: 0,
    max: 1,
    dimension: 2,
    inRange: { color: SCORE_COLORS },
    text: ['100 %', '0 %'],
    textStyle: text(12),
    left: layout.width - LEGEND_WIDTH + 14,
    top: HEADER_HEIGHT + MARGIN.top - 18,
    itemHeight: 120,
  };
}

function series(panel: HeatPanel, index: number): Record<string, unknown> {
  return {
    type: 'heatmap',
    xAxisIndex: index,
    yAxisIndex: index,
    data: panel.cells.flatMap((row, depth) => row.map((cell, length) => datum(cell, length, depth))),
  };
}

function datum(cell: HeatCell | undefined, length: number, depth: number): Record<string, unknown> {
  const color = cell === undefined ? MISSING : scoreColor(cell.score);
  const border = cell === undefined ? { borderColor: '#8c8c8c', borderType: 'dashed' } : { borderColor: '#ffffff' };
  const formatter = cell === undefined ? 'not run' : `{score|${Math.round(cell.score * 1000) / 10}}\n{n|n = ${cell.samples}}`;
  const ink = inkOn(color);
  const rich = { score: { ...text(15, 'bold'), color: ink, lineHeight: 19 }, n: { ...text(11), color: ink, lineHeight: 14 } };
  return {
    value: [length, depth, cell?.score ?? 0],
    ...(cell === undefined ? { visualMap: false } : {}),
    itemStyle: { color, borderWidth: 1, ...border },
    label: { show: true, formatter, color: cell === undefined ? '#595959' : ink, fontFamily: FONT, rich },
  };
}
