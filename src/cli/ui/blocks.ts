/** Pictures of fixed width, put beside each other as far as the terminal is wide. */

export interface TerminalView {
  readonly color: boolean;
  readonly columns: number;
}

const GAP = '  ';

export interface Block {
  readonly width: number;
  /** Each `width` characters wide on the screen. */
  readonly lines: readonly string[];
}

/** Blocks in rows that fit the screen. */
export function besideEachOther(blocks: readonly Block[], columns: number): string[] {
  const rows: Block[][] = [];
  for (const block of blocks) {
    const row = rows.at(-1);
    const used = row?.reduce((sum, other) => sum + other.width + GAP.length, 0) ?? Number.POSITIVE_INFINITY;
    if (row !== undefined && used + block.width <= columns) row.push(block);
    else rows.push([block]);
  }
  return rows.flatMap((row) => [...joinLines(row), '']);
}

function joinLines(row: readonly Block[]): string[] {
  const height = Math.max(...row.map(({ lines }) => lines.length));
  return Array.from({ length: height }, (_, line) =>
    row
      .map((block) => block.lines[line] ?? ' '.repeat(block.width))
      .join(GAP)
      .trimEnd(),
  );
}
