/**
 * Colours of scores: cividis (Nuñez, Anderton and Renslow 2018, doi:10.1371/journal.pone.0199239), which reads the same with and
 * without colour-vision deficiency and grows lighter all the way, so that it also survives a grey printer.
 */
import { at } from '../errors.js';

export type Rgb = readonly [red: number, green: number, blue: number];

/** Ten equal steps from 0 to 1. */
const CIVIDIS = ['#00224e', '#123570', '#3b496c', '#575d6d', '#707173', '#8a8678', '#a59c74', '#c3b369', '#e1cc55', '#fee838'];

/** The stops, low to high, for a legend. */
export const SCORE_COLORS: readonly string[] = CIVIDIS;

/** `#rrggbb` of a score in [0, 1]. */
export function scoreColor(score: number): string {
  const place = Math.min(1, Math.max(0, score)) * (CIVIDIS.length - 1);
  const low = Math.min(Math.floor(place), CIVIDIS.length - 2);
  const [from, to] = [parseHex(at(CIVIDIS, low)), parseHex(at(CIVIDIS, low + 1))];
  return toHex(from.map((value, i) => value + (at(to, i) - value) * (place - low)));
}

/** Black or white, whichever contrasts more with `color` (WCAG relative luminance). */
export function inkOn(color: string): '#000000' | '#ffffff' {
  const [red, green, blue] = parseHex(color).map(linear) as [number, number, number];
  const luminance = 0.2126 * red + 0.7152 * green + 0.0722 * blue;
  return (luminance + 0.05) / 0.05 > 1.05 / (luminance + 0.05) ? '#000000' : '#ffffff';
}

function parseHex(color: string): Rgb {
  const value = Number.parseInt(color.slice(1), 16);
  return [value >> 16, (value >> 8) & 0xff, value & 0xff];
}

function toHex(channels: readonly number[]): string {
  return `#${channels.map((value) => Math.round(value).toString(16).padStart(2, '0')).join('')}`;
}

function linear(channel: number): number {
  const value = channel / 255;
  return value <= 0.040_45 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4;
}
