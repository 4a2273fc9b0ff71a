/** The plain forward: all tokens at once, full attention unless told otherwise. What the other forwards are held against. */
import type { Tensor } from '../device/device.js';
import { at } from '../errors.js';
import { fullAttention, reachOf } from './attention.js';
import { complete, embedTokens, finalNorm, project } from './layer.js';
import type { Projections } from './layer.js';
import type { Model } from './model.js';
import { positionsFrom, ropeAt } from './rope.js';

/** A layer as it was computed; the tensors live until the visitor returns. */
export interface LayerVisit extends Projections {
  readonly layer: number;
  /** Its input and output, (tokens, hidden). */
  readonly x: Tensor;
  readonly out: Tensor;
}

export interface ForwardOptions {
  /** Attention of a layer, (tokens, queryHeads, headDim); default: every head sees all that the layer's window, if it has one, shows. */
  readonly attend?: (layer: number, projections: Projections) => Tensor;
  readonly visit?: (layer: LayerVisit) => void;
}

/** Hidden states after the final norm, (tokens, hidden), of ids at positions 0... No scope is open around `attend`, which may keep tensors. */
export function forward(model: Model, ids: Int32Array, options: ForwardOptions = {}): Tensor {
  const { device, config } = model;
  const { attend = (layer, projections) => attendFully(model, layer, projections), visit } = options;
  const rope = ropeAt(device, config, positionsFrom(0, ids.length));
  let x = embedTokens(model, ids);
  for (let layer = 0; layer < config.layers; layer++) {
    const { q, k, v } = project(model, layer, x, rope);
    const attention = attend(layer, { q, k, v });
    const out = complete(model, layer, x, attention);
    visit?.({ layer, x, q, k, v, out });
    device.free(q, k, v, attention, x);
    x = out;
  }
  const hidden = finalNorm(model, x);
  device.free(x, rope.cos, rope.sin);
  return hidden;
}

function attendFully({ device, config }: Model, layer: number, { q, k, v }: Projections): Tensor {
  const { out, lse } = fullAttention(device, { q, k, v }, reachOf(config, layer, at(q.shape, 0)));
  device.free(lse);
  return out;
}
