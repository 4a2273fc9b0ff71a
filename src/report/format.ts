/** Numbers for people, the same in the terminal and in figures. */

/** `0.25` -> `25 %`, `0.125` -> `12.5 %`. */
export function percent(share: number): string {
  return `${Math.round(share * 1000) / 10} %`;
}

/** `12345` -> `12,345`. */
export function thousands(value: number): string {
  return value.toLocaleString('en-US');
}

const UNITS = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];

/** `16777216` -> `16 MiB`, three digits at most after the first unit. */
export function formatBytes(bytes: number): string {
  const power = Math.min(UNITS.length - 1, Math.floor(Math.log2(Math.max(bytes, 1)) / 10));
  return `${Number((bytes / 1024 ** power).toPrecision(power === 0 ? 15 : 3))} ${UNITS[power] ?? ''}`;
}

/** Lines of at most `most` characters, cut between words. */
export function wrap(line: string, most: number): string[] {
  const lines = [''];
  for (const word of line.split(' ')) {
    const last = lines.at(-1) ?? '';
    if (last !== '' && last.length + 1 + word.length > most) lines.push(word);
    else lines[lines.length - 1] = last === '' ? word : `${last} ${word}`;
  }
  return lines;
}
