/** Rows: gathered, scattered back, and written into a buffer. */
import { InternalError } from '../../errors.js';
import type { Kernels, Raw } from './kernels.js';

/**
 * Gradient of a gather: row r of the result is the sum of the rows n of dy with indices[n] = r, in ascending n.
 * Made of gathers, one for each time that the most frequent index occurs, since WebAssembly has no segment sum.
 */
export function gatherRowsBackward(k: Kernels, dy: Raw, indices: Int32Array, rows: number): Raw {
  const zeroRow = indices.length;
  return k.tidy(() => {
    const padded = k.padRows(dy, 0, 1);
    const parts = occurrences(indices, rows, zeroRow).map((sources) => k.gather(padded, sources, 0));
    return parts.reduce((sum, part) => k.add(sum, part));
  });
}

/** For the first, second, ... occurrence of each index: where it is in `indices`, or `absent`; at least one list. */
function occurrences(indices: Int32Array, rows: number, absent: number): Int32Array[] {
  const lists = [new Int32Array(rows).fill(absent)];
  const seen = new Int32Array(rows);
  indices.forEach((row, n) => {
    checkRow(row, rows);
    const turn = seen[row] ?? 0;
    seen[row] = turn + 1;
    const list = (lists[turn] ??= new Int32Array(rows).fill(absent));
    list[row] = n;
  });
  return lists;
}

function checkRow(row: number, rows: number): void {
  if (row < 0 || row >= rows) throw new InternalError(`row ${row} is outside 0..${rows - 1}`);
}

/** Rows `indices` of x; every index is checked, since WebAssembly would read beyond the tensor. */
export function gatherRows(k: Kernels, x: Raw, indices: Int32Array): Raw {
  const rows = x.shape[0] ?? 0;
  for (const row of indices) checkRow(row, rows);
  return k.gather(x, indices, 0);
}

/**
 * Rows start..start+count-1 as a copy: a TensorFlow slice would share the memory of all of x and keep it from being
 * freed, which matters for a cache that keeps a few rows of many.
 */
export function copyRows(k: Kernels, x: Raw, start: number, count: number): Raw {
  return gatherRows(
    k,
    x,
    Int32Array.from({ length: count }, (_, i) => start + i),
  );
}

/** `buffer` with `rows` in place of its rows from `start` on, as a new tensor. */
export function replaceRows(k: Kernels, buffer: Raw, rows: Raw, start: number): Raw {
  checkFits(buffer, rows, start);
  const capacity = buffer.shape[0] ?? 0;
  const end = start + (rows.shape[0] ?? 0);
  return k.tidy(() => {
    const before = start > 0 ? [k.slice(buffer, 0, 0, start)] : [];
    const after = end < capacity ? [k.slice(buffer, 0, end, capacity - end)] : [];
    return k.concat([...before, rows, ...after], 0);
  });
}

/** @throws InternalError when `rows` are not rows of `buffer`, or do not fit from `start` on */
export function checkFits(buffer: Raw, rows: Raw, start: number): void {
  const [capacity = 0, ...shape] = buffer.shape;
  const [count = 0, ...given] = rows.shape;
  if (shape.join() === given.join() && start >= 0 && start + count <= capacity) return;
  throw new InternalError(`rows (${rows.shape.join(', ')}) do not fit from row ${start} on into (${buffer.shape.join(', ')})`);
}
