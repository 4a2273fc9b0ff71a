/** Numbers for people. */

/** Three significant digits: `0.0123`, `1.20e-5`. */
export function formatNumber(value: number): string {
  if (value === 0) return '0';
  return Math.abs(value) < 1e-3 || Math.abs(value) >= 1e5 ? value.toExponential(2) : value.toPrecision(3);
}

export function formatPercent(value: number): string {
  return `${(100 * value).toFixed(1)} %`;
}
