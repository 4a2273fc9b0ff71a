/** Keys of GGUF metadata, read with their types and lengths checked. */
import { InputError } from '../../errors.js';
import type { GgufMetadata, GgufScalar, GgufValue } from './metadata.js';
import { showValue } from '../show-name.js';

const PREFIX = 'tokenizer.ggml.';

/** The keys `tokenizer.ggml.*` of a file; names are without that prefix. @throws InputError naming the key. */
export class TokenizerKeys {
  readonly #metadata: GgufMetadata;
  readonly #path: string;

  constructor(metadata: GgufMetadata, path: string) {
    this.#metadata = metadata;
    this.#path = path;
  }

  fail(what: string, expected = 'the tokenizer that belongs to the model'): InputError {
    return new InputError({ code: 'gguf_tokenizer', what, given: this.#path, expected });
  }

  text(name: string): string | undefined {
    return this.#read(name, 'a text', (value) => typeof value === 'string') as string | undefined;
  }

  flag(name: string): boolean | undefined {
    return this.#read(name, 'true or false', (value) => typeof value === 'boolean') as boolean | undefined;
  }

  /** A token's id, inside a vocabulary of `vocab`. */
  id(name: string, vocab: number): number | undefined {
    const id = this.#read(name, 'a whole number', (value) => typeof value === 'bigint' || Number.isInteger(value));
    if (id === undefined || (typeof id === 'number' && id >= 0 && id < vocab)) return id;
    throw this.fail(`${PREFIX}${name} ${String(id)} is outside the vocabulary of ${vocab}`, 'the id of a token');
  }

  texts(name: string): readonly string[] | undefined {
    return this.#list(name, 'texts', (value) => typeof value === 'string') as readonly string[] | undefined;
  }

  /** One finite number for each of `count` tokens. */
  numbers(name: string, count: number): readonly number[] | undefined {
    const values = this.#list(name, 'finite numbers', (value) => Number.isFinite(value)) as readonly number[] | undefined;
    if (values !== undefined && values.length !== count)
      throw this.fail(`${PREFIX}${name} has ${values.length} entries, tokens has ${count}`, 'one for each token');
    return values;
  }

  #list(name: string, kind: string, fits: (value: GgufScalar) => boolean): GgufValue | undefined {
    const values = this.#read(name, `a list of ${kind}`, Array.isArray) as readonly GgufScalar[] | undefined;
    const wrong = values?.findIndex((value) => !fits(value)) ?? -1;
    if (values !== undefined && wrong >= 0) throw this.fail(`${PREFIX}${name}[${wrong}] is ${showValue(values[wrong])}`, kind);
    return values;
  }

  #read(name: string, kind: string, fits: (value: GgufValue) => boolean): GgufValue | undefined {
    const value = this.#metadata.get(PREFIX + name);
    if (value === undefined || fits(value)) return value;
    throw this.fail(`${PREFIX}${name} is ${showValue(value)}`, kind);
  }
}
