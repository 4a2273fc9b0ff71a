/** Which stored tensors a model needs, of which shape, and which of its weights lie in each. */
import { at } from '../errors.js';
import type { ModelConfig } from './config.js';
import { DIMENSIONS, SHAPES } from './dimensions.js';
import type { Dimension } from './dimensions.js';
import type { Slot, StoredPart } from './families.js';

/** A weight of the model: its slot, its layer where it has one, and its shape. */
export interface PlannedWeight {
  readonly slot: Slot;
  readonly layer: number | undefined;
  readonly shape: readonly number[];
}

/** A tensor the model needs: its name in the checkpoint, the shape that the config implies, and what lies in its rows, in order. */
export interface PlannedTensor {
  readonly name: string;
  readonly shape: readonly number[];
  /** Where the shape comes from, e.g. `vocab_size, hidden_size`. */
  readonly shapeKeys: string;
  readonly weights: readonly PlannedWeight[];
}

/** Every tensor a model of this config needs, once; a tied model has no head of its own. */
export function plannedTensors(parts: readonly StoredPart[], config: ModelConfig): PlannedTensor[] {
  const present = parts.filter((part) => part.when?.(config) ?? true);
  const [perLayer, globals] = [present.filter(isPerLayer), present.filter((part) => !isPerLayer(part))];
  const layers = Array.from({ length: config.layers }, (_, layer) => perLayer.map((part) => planned(part, config, layer)));
  return [...globals.map((part) => planned(part, config)), ...layers.flat()];
}

function planned(part: StoredPart, config: ModelConfig, layer?: number): PlannedTensor {
  const dimensions = part.slots.map((slot) => part.shape ?? SHAPES[slot]);
  const weights = part.slots.map((slot, i) => ({
    slot,
    layer,
    shape: at(dimensions, i).map((dimension) => DIMENSIONS[dimension](config)),
  }));
  const rows = weights.reduce((sum, { shape }) => sum + at(shape, 0), 0);
  return {
    name: layer === undefined ? part.name : part.name.replace('{layer}', String(layer)),
    shape: [rows, ...at(weights, 0).shape.slice(1)],
    shapeKeys: shapeKeys(dimensions),
    weights,
  };
}

function shapeKeys(dimensions: readonly (readonly Dimension[])[]): string {
  const rows = dimensions.map((shape) => at(shape, 0)).join(' + ');
  return [rows, ...at(dimensions, 0).slice(1)].join(', ');
}

/** Where a weight is kept while a model is put together. */
export function weightKey(slot: Slot, layer?: number): string {
  return layer === undefined ? slot : `${layer}.${slot}`;
}

/** True for a tensor of a decoder layer that the config has: one that is there must be understood. */
export function belongsToLayer(parts: readonly StoredPart[], config: ModelConfig, name: string): boolean {
  const prefix = parts.find(isPerLayer)?.name.split('{layer}')[0] ?? '';
  const layer = name.startsWith(prefix) ? /^\d+(?=\.)/.exec(name.slice(prefix.length)) : null;
  return layer !== null && Number(layer[0]) < config.layers;
}

function isPerLayer(part: StoredPart): boolean {
  return part.name.includes('{layer}');
}
