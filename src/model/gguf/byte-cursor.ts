/**
 * Reads numbers and texts of a little-endian binary header one after the other, through a small window over the file.
 * Lengths come from the file and may be anything: they are compared with what is left before anything is allocated.
 */
import { basename } from 'node:path';
import { InputError } from '../../errors.js';
import { readFully } from '../../untrusted.js';

/** Bytes read at a time. */
const WINDOW_BYTES = 1 << 18;
const UINT32 = 2 ** 32;
const STRICT_UTF8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

export class ByteCursor {
  readonly path: string;
  /** Bytes of the file. */
  readonly size: number;
  /** What is being read, for messages: `the metadata (key 3, general.name)`. */
  where = 'the header';
  readonly #descriptor: number;
  readonly #limit: number;
  readonly #window: Buffer;
  /** File position of the window's first byte, bytes in the window, and the next one to read. */
  #start = 0;
  #filled = 0;
  #next = 0;

  /** `limit`: bytes of the file that a header may take at most. */
  constructor(descriptor: number, size: number, limit: number, path: string) {
    this.path = path;
    this.size = size;
    this.#descriptor = descriptor;
    this.#limit = limit;
    this.#window = Buffer.alloc(Math.min(WINDOW_BYTES, size));
  }

  /** File position of the next byte. */
  get position(): number {
    return this.#start + this.#next;
  }

  /** Bytes from here to the end of the file. */
  get left(): number {
    return this.size - this.position;
  }

  uint8(): number {
    return this.#window.readUInt8(this.#take(1));
  }

  int8(): number {
    return this.#window.readInt8(this.#take(1));
  }

  uint16(): number {
    return this.#window.readUInt16LE(this.#take(2));
  }

  int16(): number {
    return this.#window.readInt16LE(this.#take(2));
  }

  uint32(): number {
    return this.#window.readUInt32LE(this.#take(4));
  }

  int32(): number {
    return this.#window.readInt32LE(this.#take(4));
  }

  float32(): number {
    return this.#window.readFloatLE(this.#take(4));
  }

  float64(): number {
    return this.#window.readDoubleLE(this.#take(8));
  }

  /** A number where that is exact. */
  uint64(): number | bigint {
    const at = this.#take(8);
    const value = this.#window.readUInt32LE(at) + this.#window.readUInt32LE(at + 4) * UINT32;
    return Number.isSafeInteger(value) ? value : this.#window.readBigUInt64LE(at);
  }

  /** A number where that is exact. */
  int64(): number | bigint {
    const at = this.#take(8);
    const value = this.#window.readUInt32LE(at) + this.#window.readInt32LE(at + 4) * UINT32;
    return Number.isSafeInteger(value) ? value : this.#window.readBigInt64LE(at);
  }

  /** A text after its length. @throws InputError when it is longer than the file or than `maxBytes`, or not UTF-8. */
  text(maxBytes: number): string {
    const length = this.uint64();
    if (length > this.left) throw this.ends(`a text of ${length} bytes starts where ${this.left} are left`);
    if (typeof length === 'bigint' || length > maxBytes)
      throw this.#fail('gguf_text', `a text of ${length} bytes in ${this.where}`, `at most ${maxBytes} bytes`);
    if (length <= this.#window.length) {
      const at = this.#take(length);
      return this.#decode(this.#window, at, at + length);
    }
    return this.#decode(this.#bytes(length), 0, length);
  }

  #decode(bytes: Buffer, start: number, end: number): string {
    const text = bytes.toString('utf8', start, end);
    // Many short texts: the strict decoder, which is slow to call, only looks at those that seem wrong.
    if (!text.includes('\uFFFD')) return text;
    try {
      return STRICT_UTF8.decode(bytes.subarray(start, end));
    } catch (cause) {
      throw this.#fail('gguf_text', `a text in ${this.where} is not valid UTF-8`, 'UTF-8', cause);
    }
  }

  /** The file ends, or would, while something is being read. */
  ends(detail?: string): InputError {
    return this.#fail('gguf_truncated', `the file ends inside ${this.where}${detail === undefined ? '' : `: ${detail}`}`, 'a whole file');
  }

  /** More bytes than the window holds. */
  #bytes(count: number): Buffer {
    this.#check(count);
    const bytes = Buffer.alloc(count);
    readFully(this.#descriptor, bytes, this.position, this.path);
    this.#start = this.position + count;
    this.#filled = this.#next = 0;
    return bytes;
  }

  /** Index in the window of the next `count` bytes, which may not be more than it holds. */
  #take(count: number): number {
    if (this.#next + count > this.#filled) this.#refill(count);
    const at = this.#next;
    this.#next += count;
    return at;
  }

  #refill(count: number): void {
    this.#check(count);
    this.#start = this.position;
    this.#next = 0;
    this.#filled = Math.min(this.#window.length, this.left);
    readFully(this.#descriptor, this.#window.subarray(0, this.#filled), this.#start, this.path);
  }

  #check(count: number): void {
    if (count > this.left) throw this.ends();
    if (this.position + count > this.#limit)
      throw this.#fail(
        'gguf_header',
        `the header is too large: ${this.where} lies beyond byte ${this.#limit}`,
        `at most ${this.#limit} bytes`,
      );
  }

  #fail(code: string, what: string, expected: string, cause?: unknown): InputError {
    return new InputError({
      code,
      what: `${basename(this.path)}: ${what}`,
      given: this.path,
      expected,
      ...(cause === undefined ? {} : { cause }),
    });
  }
}
