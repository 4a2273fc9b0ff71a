/** Weights must be numbers: one NaN would spread to every logit, hours later and far from its cause. */
import { InputError } from '../errors.js';
import { showName } from './show-name.js';

/** A float32 whose exponent bits are all set is an infinity or NaN. */
const EXPONENT = 0x7f80_0000;

/**
 * Where the first NaN or infinity of `values` is; -1 when all are finite. Some 800 million values a second, where the values
 * are in the cache: call it on what was just widened.
 */
export function firstNonFinite(values: Float32Array): number {
  const bits = new Uint32Array(values.buffer, values.byteOffset, values.length);
  for (let i = 0; i < bits.length; i++) if (((bits[i] ?? 0) & EXPONENT) === EXPONENT) return i;
  return -1;
}

/**
 * Checks the values of a tensor from element `from` on.
 * @throws InputError naming the tensor, and the place of the number, counted from 0 as indices are.
 */
export function requireFinite(
  values: Float32Array,
  from: number,
  tensor: { readonly name: string; readonly shape: readonly number[] },
  path: string,
): void {
  const index = firstNonFinite(values);
  if (index < 0) return;
  const value = values[index] ?? Number.NaN;
  throw new InputError({
    code: 'weight_not_finite',
    what: `tensor ${showName(tensor.name)} holds ${Number.isNaN(value) ? 'NaN' : 'infinity'} at ${placeOf(from + index, tensor.shape)}`,
    given: path,
    expected: 'finite numbers',
    hint: 'get the file again and compare its hash with the one its publisher gives',
  });
}

/** `row 3, column 5` of a matrix; the indices, outermost first, of any other. */
function placeOf(element: number, shape: readonly number[]): string {
  const indices = shape.reduceRight<{ rest: number; found: number[] }>(
    ({ rest, found }, size) => ({ rest: Math.floor(rest / size), found: [rest % size, ...found] }),
    { rest: element, found: [] },
  ).found;
  return indices.length === 2 ? `row ${indices[0]}, column ${indices[1]}` : `index ${indices.join(', ')}`;
}
