/** Mutations of parsed JSON: its tree is changed, then its text. */
import type { Rng } from '../../src/data/rng.js';
import { NAMES, NUMBERS, TEXTS } from './values.js';

export type Json = null | boolean | number | string | readonly Json[] | { readonly [key: string]: Json };
type Tree = null | boolean | number | string | Tree[] | { [key: string]: Tree };
type Branch = Tree[] | { [key: string]: Tree };

/** A place in a tree: the branch and the key or index in it. */
interface Place {
  readonly branch: Branch;
  readonly key: string | number;
}

/** `count` changes at random places. The value given stays as it is. */
export function mutateJson(rng: Rng, json: Json, count: number): Json {
  const root: { value: Tree } = { value: copy(json) };
  for (let i = 0; i < count; i++) rng.choice(CHANGES)(rng, placeIn(rng, root), root.value);
  return root.value;
}

/** A random place: a walk down that may stop anywhere, so that the few keys at the top come as often as the many below. */
function placeIn(rng: Rng, root: Branch): Place {
  let place: Place = { branch: root, key: 'value' };
  for (;;) {
    const value = read(place);
    const keys = isBranch(value) ? keysOf(value) : [];
    if (!isBranch(value) || keys.length === 0 || (place.branch !== root && rng.float() < 0.25)) return place;
    place = { branch: value, key: rng.choice(keys) };
  }
}

type Change = (rng: Rng, place: Place, whole: Tree) => void;

const CHANGES: readonly Change[] = [
  (rng, place) => write(place, anyValue(rng)),
  (rng, place) => write(place, sameKindOf(rng, read(place))),
  (rng, place) => write(place, sameKindOf(rng, read(place))),
  (_rng, place) => remove(place),
  // Repeated, in a list; in an object under another name.
  (rng, place) => insert(place, Array.isArray(place.branch) ? place.key : rng.choice(NAMES), copy(read(place))),
  (rng, place) => rename(place, rng.choice(NAMES)),
  (rng, place) => write(place, wrapped(rng, read(place))),
  // A part of the tree in place of another.
  (rng, place, whole) => write(place, copy(read(placeIn(rng, { value: whole })))),
  (rng, place) => shuffle(rng, place),
];

function anyValue(rng: Rng): Tree {
  const kinds: readonly (() => Tree)[] = [
    () => rng.choice(NUMBERS),
    () => rng.choice(TEXTS),
    () => rng.choice([null, true, false]),
    () => [],
    () => ({}),
    () => nested(rng.choice([2, 8, 70, 300])),
    () => Array.from({ length: rng.int(1, 40) }, () => rng.choice(NUMBERS)),
    () => own(rng.choice(NAMES), rng.choice(NUMBERS)),
  ];
  return rng.choice(kinds)();
}

/** Another value of the same type, near the old one where that means something. */
function sameKindOf(rng: Rng, value: Tree): Tree {
  if (typeof value === 'number') return rng.choice([value + 1, value - 1, -value, value * 2, value / 2, value + 0.5, rng.choice(NUMBERS)]);
  if (typeof value === 'string') return changedText(rng, value);
  if (typeof value === 'boolean') return !value;
  if (Array.isArray(value)) return rng.float() < 0.5 ? value.slice(0, rng.int(0, value.length)) : [...value, ...value.map(copy)];
  return anyValue(rng);
}

export function changedText(rng: Rng, text: string): string {
  const at = rng.int(0, text.length);
  const end = rng.int(at, text.length);
  return rng.choice([
    text.slice(0, at) + rng.choice(TEXTS) + text.slice(at),
    text.slice(0, at) + rng.choice(TEXTS) + text.slice(end),
    text.slice(0, at) + text.slice(end),
    text.repeat(rng.int(2, 5)),
    rng.choice(TEXTS),
    String.fromCharCode(rng.int(0, 65_535)) + text.slice(1),
  ]);
}

/** Four times as fast as structuredClone. */
function copy(value: Json): Tree {
  if (typeof value !== 'object' || value === null) return value;
  if (Array.isArray(value)) return value.map(copy);
  const object: { [key: string]: Tree } = {};
  for (const [key, item] of Object.entries(value)) {
    if (key === '__proto__') define(object, key, copy(item));
    else object[key] = copy(item);
  }
  return object;
}

function nested(levels: number): Tree {
  let value: Tree = 1;
  for (let i = 0; i < levels; i++) value = i % 2 === 0 ? [value] : { a: value };
  return value;
}

const wrapped = (rng: Rng, value: Tree): Tree => (rng.float() < 0.5 ? [value] : own(rng.choice(NAMES), value));

/** An object with one key, `__proto__` included. */
function own(key: string, value: Tree): Tree {
  const object = {};
  define(object, key, value);
  return object;
}

const isBranch = (value: Tree): value is Branch => typeof value === 'object' && value !== null;
const keysOf = (branch: Branch): (string | number)[] => (Array.isArray(branch) ? [...branch.keys()] : Object.keys(branch));

function read({ branch, key }: Place): Tree {
  return Object.getOwnPropertyDescriptor(branch, key)?.value as Tree;
}

/** An assignment to `__proto__` would not make a key. */
function define(branch: Branch, key: string | number, value: Tree): void {
  Object.defineProperty(branch, key, { value, writable: true, enumerable: true, configurable: true });
}

const write = ({ branch, key }: Place, value: Tree): void => define(branch, key, value);

function remove({ branch, key }: Place): void {
  if (Array.isArray(branch)) branch.splice(Number(key), 1);
  else if (key !== 'value' || Object.keys(branch).length > 1) Reflect.deleteProperty(branch, key);
}

function insert({ branch }: Place, key: string | number, value: Tree): void {
  if (Array.isArray(branch)) branch.splice(Number(key), 0, value);
  else define(branch, key, value);
}

function rename(place: Place, name: string): void {
  const value = read(place);
  remove(place);
  insert(place, Array.isArray(place.branch) ? place.key : name, value);
}

function shuffle(rng: Rng, place: Place): void {
  const value = read(place);
  if (Array.isArray(value)) write(place, rng.shuffle(value));
  else if (isBranch(value)) write(place, Object.fromEntries(rng.shuffle(Object.entries(value))));
}

/** The text of JSON, with a few changes that no tree can express. */
export function jsonText(rng: Rng, json: Json, changes: number): string {
  let text = JSON.stringify(json) ?? '';
  for (let i = 0; i < changes; i++) text = rng.choice(TEXT_CHANGES)(rng, text);
  return text;
}

const TEXT_CHANGES: readonly ((rng: Rng, text: string) => string)[] = [
  // A key twice.
  (rng, text) =>
    text.replace(
      rng.choice([/\{("(?:[^"\\]|\\.)*"):/, /,("(?:[^"\\]|\\.)*"):/]),
      (match, key: string) => `${match.slice(0, -key.length - 1)}${key}:${rng.choice(['0', '""', '[]', 'null'])},${key}:`,
    ),
  (rng, text) =>
    text.replace(/-?\d+(?:\.\d+)?/, rng.choice(['1e999', '-1e999', '01', '0x10', 'NaN', '9007199254740993', '1e-999', '-0', '1E400'])),
  (rng, text) => changedText(rng, text),
  (rng, text) => text.slice(0, rng.int(0, text.length)),
  (rng, text) => text + rng.choice(TEXTS),
  (rng, text) => rng.choice(['\uFEFF', ' ', '\n', '//', '/**/', '[', '{']) + text,
  (_rng, text) => text.replaceAll('"', "'"),
  (_rng, text) => text.replace(/[}\]]/, ',$&'),
];
