/** float32 numbers as people read them. */

/** The float64 with the shortest decimal that rounds to the same float32: 0.1 for 0.10000000149011612. */
export function shortest(value: number): number {
  for (let digits = 1; digits < 9; digits++) {
    const short = Number(value.toPrecision(digits));
    if (Math.fround(short) === value) return short;
  }
  return Number(value.toPrecision(9));
}
