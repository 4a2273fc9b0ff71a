/** A plain table: the first `left` columns are words, the others numbers. */
import { palette } from '../render.js';

export function renderTable(head: readonly string[], rows: readonly (readonly string[])[], color: boolean, left = 1): string {
  const widths = head.map((title, column) => Math.max(title.length, ...rows.map((row) => row[column]?.length ?? 0)));
  const line = (cells: readonly string[]): string =>
    widths
      .map((width, column) => (column < left ? (cells[column] ?? '').padEnd(width) : (cells[column] ?? '').padStart(width)))
      .join('  ')
      .trimEnd();
  return `${[palette(color).bold(line(head)), ...rows.map(line)].join('\n')}\n`;
}
