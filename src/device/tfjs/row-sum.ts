/**
 * Sums row ranges that overlap their neighbours, in time linear in the rows: the gradient of a key is the sum of what
 * each piece of queries gives it. Ranges come with ascending starts and ascending ends; what lies before a new
 * range's start is final.
 */
import type { Kernels, Raw } from './kernels.js';

export class RowSum {
  readonly #k: Kernels;
  readonly #rowShape: readonly number[];
  readonly #done: Raw[] = [];
  #doneRows = 0;
  /** The sum so far of the rows from #doneRows on. */
  #open: Raw | undefined;

  constructor(kernels: Kernels, rowShape: readonly number[]) {
    this.#k = kernels;
    this.#rowShape = rowShape;
  }

  /** Adds `part` to the rows from `start` on; takes `part` over. */
  add(part: Raw, start: number): void {
    this.#finish(start);
    const open = this.#open;
    this.#open = open ? this.#instead([open, part], this.#overlap(open, part)) : part;
  }

  /** The sum, (rows, ...), zero where nothing was added; ends the use of this object. */
  total(rows: number): Raw {
    this.#finish(rows);
    return this.#instead(this.#done, this.#k.concat(this.#done, 0));
  }

  /** Makes the rows before `start` final. */
  #finish(start: number): void {
    if (this.#open && start > this.#doneRows) this.#close(this.#open, start - this.#doneRows);
    if (start > this.#doneRows) this.#push(this.#k.fill([start - this.#doneRows, ...this.#rowShape], 0));
  }

  #close(open: Raw, rows: number): void {
    const openRows = open.shape[0] ?? 0;
    if (rows >= openRows) {
      this.#open = undefined;
      this.#push(open);
    } else {
      this.#push(this.#k.slice(open, 0, 0, rows));
      this.#open = this.#instead([open], this.#k.slice(open, 0, rows, openRows - rows));
    }
  }

  /** `part` starts where `open` does and ends there or later. */
  #overlap(open: Raw, part: Raw): Raw {
    const missing = (part.shape[0] ?? 0) - (open.shape[0] ?? 0);
    return this.#k.tidy(() => this.#k.add(missing > 0 ? this.#k.padRows(open, 0, missing) : open, part));
  }

  #push(rows: Raw): void {
    this.#done.push(rows);
    this.#doneRows += rows.shape[0] ?? 0;
  }

  #instead(used: readonly Raw[], made: Raw): Raw {
    for (const raw of used) raw.dispose();
    return made;
  }
}
