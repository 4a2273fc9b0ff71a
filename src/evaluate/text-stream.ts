/** Prints a growing text as far as it is settled: no half characters, and nothing that may turn out to be a stop text. */
export class TextStream {
  readonly #write: (text: string) => void;
  readonly #stop: readonly string[];
  #printed = 0;

  constructor(write: (text: string) => void, stop: readonly string[]) {
    this.#write = write;
    this.#stop = stop;
  }

  /** `text` is all of the text so far. */
  update(text: string): void {
    this.#printUpTo(text, settledLength(text, this.#stop));
  }

  /** Prints what was held back of the final text. */
  end(text: string): void {
    this.#printUpTo(text, text.length);
  }

  #printUpTo(text: string, length: number): void {
    if (length <= this.#printed) return;
    this.#write(text.slice(this.#printed, length));
    this.#printed = length;
  }
}

/** What a tokenizer puts in place of bytes that are no character, or none yet. */
const INCOMPLETE = '\uFFFD';

function settledLength(text: string, stop: readonly string[]): number {
  let whole = text.length;
  while (whole > 0 && text[whole - 1] === INCOMPLETE) whole--;
  const held = stop.map((word) => heldBack(text.slice(0, whole), word));
  return whole - Math.max(0, ...held);
}

/** Length of the longest end of `text` that a stop text begins with. */
function heldBack(text: string, word: string): number {
  for (let length = Math.min(text.length, word.length - 1); length > 0; length--) {
    if (text.endsWith(word.slice(0, length))) return length;
  }
  return 0;
}
