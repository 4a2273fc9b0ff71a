/**
 * Seeded random numbers: sfc32 (Chris Doty-Humphrey's small fast counter, PractRand), seeded by SHA-256 over names, so
 * that every use has a stream of its own and no stream depends on how much another one drew. Integer arithmetic only:
 * the same on every platform.
 */
import { createHash } from 'node:crypto';
import { at, InternalError } from '../errors.js';

/** Rounds thrown away after seeding, as the generator's author does. */
const WARM_UP = 12;

export class Rng {
  #a: number;
  #b: number;
  #c: number;
  #counter = 1;

  private constructor(a: number, b: number, c: number) {
    [this.#a, this.#b, this.#c] = [a, b, c];
    for (let i = 0; i < WARM_UP; i++) this.#next();
  }

  /** The stream of these names, e.g. `Rng.from(seed, 'calibrate', step)`: equal names give equal numbers. */
  static from(...names: readonly (string | number)[]): Rng {
    const digest = createHash('sha256').update(JSON.stringify(names)).digest();
    return new Rng(digest.readInt32LE(0), digest.readInt32LE(4), digest.readInt32LE(8));
  }

  #next(): number {
    const sum = (this.#a + this.#b + this.#counter) | 0;
    this.#counter = (this.#counter + 1) | 0;
    this.#a = this.#b ^ (this.#b >>> 9);
    this.#b = (this.#c + (this.#c << 3)) | 0;
    this.#c = (((this.#c << 21) | (this.#c >>> 11)) + sum) | 0;
    return sum >>> 0;
  }

  /** Uniform in [0, 1), 53 bits. */
  float(): number {
    const high = this.#next() >>> 5;
    const low = this.#next() >>> 6;
    return (high * 2 ** 26 + low) / 2 ** 53;
  }

  /** Uniform whole number from `minimum` to `maximum`, both included. */
  int(minimum: number, maximum: number): number {
    if (maximum < minimum) throw new InternalError(`no whole number from ${minimum} to ${maximum}`);
    return minimum + Math.floor(this.float() * (maximum - minimum + 1));
  }

  /** One of `items`, all equally likely. */
  choice<T>(items: readonly T[]): T {
    return at(items, this.int(0, items.length - 1));
  }

  /** A new array with the same items in random order (Fisher-Yates). */
  shuffle<T>(items: readonly T[]): T[] {
    const shuffled = [...items];
    for (let last = shuffled.length - 1; last > 0; last--) {
      const other = this.int(0, last);
      [shuffled[last], shuffled[other]] = [at(shuffled, other), at(shuffled, last)];
    }
    return shuffled;
  }

  /** `count` different items, in random order. */
  sample<T>(items: readonly T[], count: number): T[] {
    if (count > items.length) throw new InternalError(`${count} different items asked of ${items.length}`);
    return this.shuffle(items).slice(0, count);
  }
}
