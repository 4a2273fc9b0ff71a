/** The order of rows within a head: as rope pairs them here (i with i + headDim / 2), or as neighbours (2i with 2i + 1). */

/**
 * Puts rows of Q or K that rope pairs as neighbours into half-split order, in place: within each head, row 2i becomes row i
 * and row 2i + 1 becomes row i + headDim / 2. `values` is (heads * headDim, width).
 */
export function unpairRows(values: Float32Array, headDim: number, width: number): void {
  const head = new Float32Array(headDim * width);
  for (let start = 0; start < values.length; start += head.length) {
    head.set(values.subarray(start, start + head.length));
    for (let row = 0; row < headDim; row++) {
      const target = row % 2 === 0 ? row / 2 : (row - 1) / 2 + headDim / 2;
      values.set(head.subarray(row * width, (row + 1) * width), start + target * width);
    }
  }
}
