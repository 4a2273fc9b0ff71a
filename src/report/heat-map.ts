/** The needle heat map as data: depths down, lengths across, one panel per model variant. Drawn in src/cli/ui, as SVG and as PNG. */

export interface HeatCell {
  /** Mean score of the samples, 0 to 1. */
  readonly score: number;
  readonly samples: number;
}

export interface HeatPanel {
  readonly title: string;
  /** [depth][length]; undefined where nothing was run. */
  readonly cells: readonly (readonly (HeatCell | undefined)[])[];
}

export interface HeatMap {
  readonly title: string;
  /** What the scores depend on: prefill mode, window, scorer, bytes, seed. One string a line. */
  readonly caption: readonly string[];
  /** Context lengths in tokens, ascending. */
  readonly lengths: readonly number[];
  /** Shares of the haystack before the needle, ascending. */
  readonly depths: readonly number[];
  readonly panels: readonly HeatPanel[];
}

/** One scored sample of the grid. */
export interface HeatPoint {
  readonly panel: string;
  readonly length: number;
  readonly depth: number;
  readonly score: number;
}

/** Means of `points` per panel, depth and length; a cell without points stays empty. */
export function heatPanels(
  titles: readonly string[],
  axes: Pick<HeatMap, 'lengths' | 'depths'>,
  points: readonly HeatPoint[],
): readonly HeatPanel[] {
  const scores = new Map<string, number[]>();
  for (const point of points) {
    const key = cellKey(point.panel, point.length, point.depth);
    scores.set(key, [...(scores.get(key) ?? []), point.score]);
  }
  return titles.map((title) => ({
    title,
    cells: axes.depths.map((depth) => axes.lengths.map((length) => meanCell(scores.get(cellKey(title, length, depth))))),
  }));
}

function cellKey(panel: string, length: number, depth: number): string {
  return JSON.stringify([panel, length, depth]);
}

function meanCell(scores: readonly number[] | undefined): HeatCell | undefined {
  if (scores === undefined) return undefined;
  return { score: scores.reduce((sum, score) => sum + score, 0) / scores.length, samples: scores.length };
}
