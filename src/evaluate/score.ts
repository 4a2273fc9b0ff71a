/** Scores of a generated answer. */

/** The answer's first line, trimmed and without a final full stop, is the value. */
export function isStrictlyRight(answer: string, value: string): boolean {
  const [line = ''] = answer.split('\n', 1);
  return line.trim().replace(/\.$/, '') === value.trim();
}

/** The value occurs in the answer. */
export function containsValue(answer: string, value: string): boolean {
  return answer.includes(value.trim());
}

export function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}
