/** Metadata of a GGUF file by key, each with a rule for what its value must be. */
import { InputError } from '../../errors.js';
import type { GgufMetadata, GgufValue } from './metadata.js';
import { showValue } from '../show-name.js';

/** What a value must be, in words, and what it becomes; undefined: it is not that. */
export interface KeyRule<T> {
  readonly what: string;
  readonly read: (value: GgufValue) => T | undefined;
}

export interface GgufKeys {
  /** The value of `key`; undefined when the file has no such key. @throws InputError when it is not what the rule says */
  readonly optional: <T>(key: string, rule: KeyRule<T>) => T | undefined;
  /** As `optional`. @throws InputError also when the file has no such key */
  readonly required: <T>(key: string, rule: KeyRule<T>) => T;
  /** An error about the file as a whole. */
  readonly fail: (what: string, expected: string) => InputError;
}

export function ggufKeys(metadata: GgufMetadata, path: string): GgufKeys {
  const fail = (what: string, expected: string): InputError => new InputError({ code: 'gguf_config', what, given: path, expected });
  const optional = <T>(key: string, rule: KeyRule<T>): T | undefined => {
    const value = metadata.get(key);
    if (value === undefined) return undefined;
    const read = rule.read(value);
    if (read === undefined) throw fail(`key ${key} must be ${rule.what}, got ${showValue(value)}`, rule.what);
    return read;
  };
  const required = <T>(key: string, rule: KeyRule<T>): T => {
    const value = optional(key, rule);
    if (value === undefined) throw fail(`missing key ${key}`, rule.what);
    return value;
  };
  return { optional, required, fail };
}

const when = <T>(value: GgufValue, accepts: (value: GgufValue) => boolean): T | undefined => (accepts(value) ? (value as T) : undefined);

export const text: KeyRule<string> = { what: 'a text', read: (value) => when(value, () => typeof value === 'string') };
export const flag: KeyRule<boolean> = { what: 'true or false', read: (value) => when(value, () => typeof value === 'boolean') };

/** An integer from `least` to `most`. */
export function integer(least: number, most: number): KeyRule<number> {
  const fits = (value: GgufValue): boolean => Number.isInteger(value) && Number(value) >= least && Number(value) <= most;
  return { what: `an integer from ${least} to ${most}`, read: (value) => when(value, fits) };
}

/** A number above `least`, or equal to it where that is `included`. */
export function decimal(least: number, included = false): KeyRule<number> {
  const fits = (value: GgufValue): boolean => Number.isFinite(value) && (Number(value) > least || (included && value === least));
  return { what: `a number ${included ? 'of at least' : 'above'} ${least}`, read: (value) => when(value, fits) };
}

/** One value for all layers, or a list of the same value for each. */
export function sameForAll<T>(rule: KeyRule<T>, layers: number): KeyRule<T> {
  const read = (value: GgufValue): T | undefined => {
    if (!isList(value)) return rule.read(value);
    const [first] = value;
    return first !== undefined && value.length === layers && value.every((other) => other === first) ? rule.read(first) : undefined;
  };
  return { what: `${rule.what}, the same for every layer`, read };
}

/** One flag for each layer. */
export function flagPerLayer(layers: number): KeyRule<readonly boolean[]> {
  const fits = (value: GgufValue): boolean =>
    isList(value) && value.length === layers && value.every((entry) => typeof entry === 'boolean');
  return { what: `true or false for each of ${layers} layers`, read: (value) => when(value, fits) };
}

function isList(value: GgufValue): value is Extract<GgufValue, readonly unknown[]> {
  return Array.isArray(value);
}
