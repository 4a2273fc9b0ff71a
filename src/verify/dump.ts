/** A reference dump: a safetensors file of inputs and of what another implementation computed from them. */
import { existsSync, statSync } from 'node:fs';
import { InputError } from '../errors.js';
import { readSafetensors } from '../model/safetensors.js';
import type { SafetensorsFile } from '../model/safetensors.js';
import { readTensor } from '../model/weight-file.js';
import type { Mask } from '../pattern/schema.js';

export interface GoldenTensor<V> {
  readonly name: string;
  readonly shape: readonly number[];
  readonly values: V;
}

export class Dump {
  readonly path: string;
  readonly names: readonly string[];
  readonly #file: SafetensorsFile;
  readonly #read = new Set<string>();

  private constructor(path: string) {
    this.path = path;
    this.#file = readSafetensors(path);
    this.names = [...this.#file.tensors.keys()].sort();
  }

  /** @throws InputError when there is no such file, or it is no safetensors file. */
  static open(path: string): Dump {
    if (!existsSync(path) || !statSync(path).isFile())
      throw new InputError({
        code: 'golden_missing',
        what: 'there is no such reference dump',
        given: path,
        expected: 'a .safetensors file',
      });
    return new Dump(path);
  }

  has(name: string): boolean {
    return this.#file.tensors.has(name);
  }

  /** Names that match, with the match. */
  matches(pattern: RegExp): { readonly name: string; readonly match: RegExpExecArray }[] {
    return this.names.flatMap((name) => {
      const match = pattern.exec(name);
      return match === null ? [] : [{ name, match }];
    });
  }

  /** Names that nothing has asked for. */
  unread(): string[] {
    return this.names.filter((name) => !this.#read.has(name));
  }

  floats(name: string): GoldenTensor<Float32Array> {
    const { shape, values } = this.#values(name);
    if (!(values instanceof Float32Array)) throw this.#wrong(name, 'a float tensor');
    return { name, shape, values };
  }

  ints(name: string): GoldenTensor<Int32Array> {
    const { shape, values } = this.#values(name);
    if (!(values instanceof Int32Array)) throw this.#wrong(name, 'an I32 tensor');
    return { name, shape, values };
  }

  /** Token ids of any shape, one after the other. @throws InputError when one is outside the vocabulary. */
  ids(name: string, vocab: number): Int32Array {
    const { values } = this.ints(name);
    if (values.length === 0) throw this.#wrong(name, 'at least one token id');
    const outside = values.find((id) => id < 0 || id >= vocab);
    if (outside !== undefined) throw this.#wrong(name, `token ids of the model's vocabulary of ${vocab}, got ${outside}`);
    return values;
  }

  /** A mask of the model's shape, 1 = retrieval head. */
  mask(name: string, layers: number, kvHeads: number): Mask {
    const { shape, values } = this.ints(name);
    if (shape.length !== 2 || shape[0] !== layers || shape[1] !== kvHeads) throw this.#wrong(name, `shape [${layers}, ${kvHeads}]`);
    return Array.from({ length: layers }, (_, layer) =>
      Array.from({ length: kvHeads }, (__, head) => values[layer * kvHeads + head] === 1),
    );
  }

  /** Gates of the model's shape, layer-major. */
  gates(name: string, layers: number, kvHeads: number): Float32Array {
    const { values } = this.floats(name);
    if (values.length !== layers * kvHeads) throw this.#wrong(name, `shape [${layers}, ${kvHeads}]`);
    return values;
  }

  /** One flag per token, as many as the ids. */
  labels(name: string, tokens: number): Int32Array {
    const { values } = this.ints(name);
    if (values.length !== tokens) throw this.#wrong(name, `${tokens} labels, one per token id`);
    return values;
  }

  /** A number from the file's metadata, or `otherwise`. @throws InputError when it has neither. */
  number(key: string, otherwise?: number): number {
    const text = this.#file.metadata[key];
    const value = text === undefined ? otherwise : Number(text);
    if (value === undefined || !Number.isFinite(value) || value < 0)
      throw new InputError({ code: 'golden_metadata', what: `the dump's metadata has no number "${key}"`, given: this.path });
    return value;
  }

  #values(name: string): { shape: readonly number[]; values: Float32Array | Int32Array } {
    const tensor = this.#file.tensors.get(name);
    if (tensor === undefined)
      throw new InputError({
        code: 'golden_incomplete',
        what: `the dump lacks ${name}, which others of its tensors need`,
        given: this.path,
      });
    this.#read.add(name);
    return { shape: tensor.shape, values: readTensor(this.#file, tensor) };
  }

  #wrong(name: string, expected: string): InputError {
    return new InputError({
      code: 'golden_tensor',
      what: `tensor ${name} of the dump is not what it should be`,
      given: this.path,
      expected,
    });
  }
}
