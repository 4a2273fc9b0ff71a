/** The plain forward: full attention, all tokens at once, no cache. What the other forwards are held against. */
import type { Tensor } from '../device/device.js';
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

/** Hidden states after the final norm, (tokens, hidden), for ids at positions 0..; `visit` sees every layer on the way. */
export function forward(model: Model, ids: Int32Array, visit?: (layer: LayerVisit) => void): Tensor {
  const { device, config } = model;
  return device.scope(() => {
    const rope = ropeAt(device, config, positionsFrom(0, ids.length));
    let x = embedTokens(model, ids);
    for (let layer = 0; layer < config.layers; layer++) {
      const out = device.scope(() => {
        const { q, k, v } = project(model, layer, x, rope);
        const attention = device.causalAttention({ q, k, v });
        const result = complete(model, layer, x, attention.out);
        visit?.({ layer, x, q, k, v, out: result });
        return result;
      });
      device.free(x);
      x = out;
    }
    return finalNorm(model, x);
  });
}
