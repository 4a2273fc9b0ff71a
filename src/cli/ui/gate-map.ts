/**
 * Maps of heads in the terminal: layers are rows, KV heads columns. The glyph alone says everything; colours have the same
 * contrast on light and dark backgrounds, and are blue (streaming) and orange (retrieval) for colour-blind eyes.
 */
import { at } from '../../errors.js';
import type { GateRows, Mask } from '../../pattern/schema.js';
import { palette } from '../render.js';
import { besideEachOther } from './blocks.js';
import type { Block, TerminalView } from './blocks.js';

/** What a head looks like: one character, and its colour in the 256-colour palette. */
interface Glyph {
  readonly glyph: string;
  readonly color: number;
  readonly meaning: string;
}

/** Gates below 0.05 and above 0.95 are settled. */
const LEVELS: readonly (Glyph & { readonly below: number })[] = [
  { below: 0.05, glyph: '·', color: 32, meaning: '< 0.05' },
  { below: 0.35, glyph: '░', color: 67, meaning: '< 0.35' },
  { below: 0.65, glyph: '▒', color: 244, meaning: '< 0.65' },
  { below: 0.95, glyph: '▓', color: 137, meaning: '< 0.95' },
  { below: Number.POSITIVE_INFINITY, glyph: '█', color: 166, meaning: '0.95 or more' },
];

const RETRIEVAL: Glyph = { glyph: '█', color: 166, meaning: 'retrieval (full cache)' };
const STREAMING: Glyph = { glyph: '·', color: 32, meaning: 'streaming (sink + recent)' };
const ONLY_A: Glyph = { glyph: 'A', color: 166, meaning: 'only in A' };
const ONLY_B: Glyph = { glyph: 'B', color: 133, meaning: 'only in B' };

export interface HeadMap {
  readonly title: string;
  readonly cells: readonly (readonly Glyph[])[];
  /** A short fact at the end of each layer's row, all of one width. */
  readonly notes: readonly string[];
  readonly legend: readonly Glyph[];
}

export function gateMap(title: string, gates: GateRows): HeadMap {
  const cells = gates.map((row) => Array.from(row, levelOf));
  return { title, cells, notes: gates.map(() => ''), legend: LEVELS };
}

/** Retrieval heads of a mask, with their number in each layer. */
export function maskMap(title: string, mask: Mask): HeadMap {
  const cells = mask.map((row) => row.map((full) => (full ? RETRIEVAL : STREAMING)));
  const counts = mask.map((row) => String(row.filter(Boolean).length));
  const width = Math.max(...counts.map((count) => count.length));
  return { title, cells, notes: counts.map((count) => ` ${count.padStart(width)}`), legend: [RETRIEVAL, STREAMING] };
}

/** Where two masks agree, and which of them keeps a head where they do not. */
export function differenceMap(title: string, a: Mask, b: Mask): HeadMap {
  const cells = a.map((row, layer) => row.map((full, head) => bothOf(full, at(at(b, layer), head))));
  return { title, cells, notes: a.map(() => ''), legend: [RETRIEVAL, STREAMING, ONLY_A, ONLY_B] };
}

function bothOf(inA: boolean, inB: boolean): Glyph {
  if (inA === inB) return inA ? RETRIEVAL : STREAMING;
  return inA ? ONLY_A : ONLY_B;
}

function levelOf(gate: number): Glyph {
  return LEVELS.find(({ below }) => gate < below) ?? at(LEVELS, LEVELS.length - 1);
}

/** Characters before the first head of a row. */
const LABEL = 6;

/** The maps as lines of text, side by side where they fit, each followed by what its glyphs mean. */
export function renderHeadMaps(maps: readonly HeadMap[], view: TerminalView): string[] {
  const legends = new Set(maps.map(({ legend }) => legendLine(legend, view)));
  const lines = besideEachOther(
    maps.flatMap((map) => bands(map, view)),
    view.columns,
  );
  return [...lines, ...legends];
}

function legendLine(legend: readonly Glyph[], view: TerminalView): string {
  return legend.map((glyph) => `${paintCell(glyph, 1, view)} ${glyph.meaning}`).join('   ');
}

/** One block, or several below each other when a layer has more heads than the terminal has columns. */
function bands(map: HeadMap, view: TerminalView): Block[] {
  const heads = map.cells[0]?.length ?? 0;
  const room = view.columns - LABEL - (map.notes[0]?.length ?? 0);
  // Two characters make a square; where they do not fit, one does.
  const cellWidth = heads * 2 <= room ? 2 : 1;
  // Bands of whole eighths, so that head numbers stay easy to read.
  const perBand = heads * cellWidth <= room ? heads : Math.max(8, Math.floor(room / 8) * 8);
  const starts = Array.from({ length: Math.ceil(heads / perBand) }, (_, band) => band * perBand);
  return starts.map((start) => band(map, { start, end: Math.min(heads, start + perBand), cellWidth }, view));
}

interface Columns {
  readonly start: number;
  readonly end: number;
  readonly cellWidth: number;
}

function band(map: HeadMap, { start, end, cellWidth }: Columns, view: TerminalView): Block {
  const cellsWidth = (end - start) * cellWidth;
  const title = start === 0 ? map.title : `${map.title} (from head ${start})`;
  const header = `layer ${ticks(start, end, cellWidth)}`;
  const noteWidth = map.notes[0]?.length ?? 0;
  const width = Math.max(title.length, header.length, LABEL + cellsWidth + noteWidth);
  const rows = map.cells.map((cells, layer) => {
    const painted = cells.slice(start, end).map((cell) => paintCell(cell, cellWidth, view));
    const fill = ' '.repeat(width - LABEL - cellsWidth - noteWidth);
    return `${String(layer).padStart(LABEL - 1)} ${painted.join('')}${map.notes[layer] ?? ''}${fill}`;
  });
  return { width, lines: [palette(view.color).bold(title.padEnd(width)), header.padEnd(width), ...rows] };
}

/** Head numbers above their columns, as many as fit without touching. */
function ticks(start: number, end: number, cellWidth: number): string {
  const step = cellWidth === 2 ? 4 : 8;
  const marks = Array.from({ length: Math.ceil((end - start) / step) }, (_, i) => String(start + i * step).padEnd(step * cellWidth));
  return marks.join('').trimEnd();
}

/** A dot is a dot; the other glyphs fill their cell. */
function paintCell({ glyph, color }: Glyph, cellWidth: number, view: TerminalView): string {
  const text = glyph === '·' || /[AB]/.test(glyph) ? glyph.padEnd(cellWidth) : glyph.repeat(cellWidth);
  return palette(view.color).ansi256(color)(text);
}
