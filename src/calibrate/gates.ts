/** Gates: one float32 number per (layer, KV head), 1 = full attention, 0 = streaming. A few hundred numbers, kept on the host. */
import { at } from '../errors.js';

/** Raw gates, [layer][kvHead], float32. */
export type Gates = readonly Float32Array[];

export function initialGates(layers: number, kvHeads: number, value = 1): Float32Array[] {
  return Array.from({ length: layers }, () => new Float32Array(kvHeads).fill(value));
}

export function clamped(gates: Gates): Float32Array[] {
  return gates.map((row) => row.map((gate) => Math.min(1, Math.max(0, gate))));
}

/** The clamp's gradient: 1 on the closed interval [0, 1], 0 outside. */
export function throughClamp(gates: Gates, gradients: Gates): Float32Array[] {
  return gradients.map((row, layer) => row.map((gradient, head) => (inUnit(at(at(gates, layer), head)) ? gradient : 0)));
}

function inUnit(gate: number): boolean {
  return gate >= 0 && gate <= 1;
}

export function flatten(gates: Gates): Float32Array {
  return Float32Array.from(gates.flatMap((row) => [...row]));
}

export function unflatten(values: ArrayLike<number>, kvHeads: number): Float32Array[] {
  return Array.from({ length: values.length / kvHeads }, (_, layer) =>
    Float32Array.from({ length: kvHeads }, (__, head) => at(values, layer * kvHeads + head)),
  );
}

export function meanGate(gates: Gates): number {
  const values = flatten(gates);
  return values.reduce((sum, gate) => sum + gate, 0) / values.length;
}

/** Share of gates below 0.05 or above 0.95. */
export function settledShare(gates: Gates): number {
  const values = flatten(gates);
  return values.filter((gate) => gate < 0.05 || gate > 0.95).length / values.length;
}

export function toRows(gates: Gates): number[][] {
  return gates.map((row) => [...row]);
}
