/** What a kind of input is to the fuzzer. */
import type { Rng } from '../../src/data/rng.js';

/** A file's content, or where a link leads. */
export type Content = Uint8Array | string | { readonly link: string };
/** By name, in the input's folder. */
export type Files = Readonly<Record<string, Content>>;

export interface FuzzKind {
  readonly name: string;
  /** The files of an input: a valid one with `changes` mutations. The same stream and number give the same files. */
  readonly make: (rng: Rng, changes: number) => Files;
  /**
   * Reads them as the program does, and holds what is accepted against itself. May throw InputError; anything else that it
   * throws is a finding.
   */
  readonly read: (folder: string) => void | Promise<void>;
}

/** @throws Error, a finding: what was accepted contradicts itself. */
export function require(truth: boolean, what: string): asserts truth {
  if (!truth) throw new Error(`accepted, but ${what}`);
}

/** Where links are planted: out of the folder, to itself, to nothing, to a device; and within it, which is fine. */
const TARGETS = ['../secret', '/etc/passwd', '/dev/zero', '..', '.', 'nothing', 'self', 'config.json', 'model.safetensors', 'real'];

/** Now and then, one of the files becomes a link. */
export function withLinks(rng: Rng, files: Files, changes: number): Files {
  if (changes === 0 || rng.float() >= 0.03) return files;
  const name = rng.choice(Object.keys(files));
  const target = rng.choice(TARGETS);
  return { ...files, [name]: { link: target === 'self' ? name : target }, ...(target === 'real' ? { real: files[name] ?? '' } : {}) };
}
