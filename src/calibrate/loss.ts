/**
 * The penalty that pushes gates to zero: weight * mean |gate| (the paper's equation 2 writes a sum; the reference code, and we, a mean).
 * The distillation loss is `maskedMse` of the device.
 */
import { flatten, unflatten } from './gates.js';
import type { Gates } from './gates.js';
import { at } from '../errors.js';

export function regularization(gates: Gates, weight: number): number {
  const values = flatten(gates);
  return (weight * values.reduce((sum, gate) => sum + Math.abs(gate), 0)) / values.length;
}

/** Gradient of `regularization`; that of |gate| at 0 is 0. */
export function regularizationGradient(gates: Gates, weight: number): Float32Array[] {
  const values = flatten(gates);
  const gradient = values.map((gate) => (weight * Math.sign(gate)) / values.length);
  return unflatten(gradient, at(gates, 0).length);
}
