/** One chunk of tokens through every layer over a hybrid cache: what prefill and decode are made of. */
import type { HybridCache, WindowRule } from '../cache/hybrid-cache.js';
import type { Tensor } from '../device/device.js';
import { at } from '../errors.js';
import { complete, embedTokens, finalNorm, logits, project } from '../model/layer.js';
import type { Model } from '../model/model.js';
import { positionsFrom, ropeAt } from '../model/rope.js';
import type { Rope } from '../model/rope.js';

/** Rows first..last of a chunk. */
interface Rows {
  readonly first: number;
  readonly last: number;
}

/**
 * Feeds `ids` at the positions after those the cache holds, and gives the logits of the tokens `wanted` (offsets into `ids`,
 * ascending), (wanted.length, vocab); undefined when none is wanted. The last layer computes only what those need.
 */
export function feed(model: Model, cache: HybridCache, ids: Int32Array, rule: WindowRule, wanted: readonly number[]): Tensor | undefined {
  const { device, config } = model;
  const rope = ropeAt(device, config, positionsFrom(cache.tokens, ids.length));
  let x = embedTokens(model, ids);
  for (let layer = 0; layer < config.layers - 1; layer++) x = throughLayer(model, cache, layer, x, rope, rule);
  const top = topLayer(model, cache, x, rope, rule, wanted);
  device.free(x, rope.cos, rope.sin);
  cache.advance(ids.length);
  return top;
}

/** A layer's output for all of x, which is freed. */
function throughLayer(model: Model, cache: HybridCache, layer: number, x: Tensor, rope: Rope, rule: WindowRule): Tensor {
  const { q, k, v } = project(model, layer, x, rope);
  const attention = cache.attend(layer, q, { k, v }, rule);
  const out = complete(model, layer, x, attention);
  model.device.free(q, k, v, attention, x);
  return out;
}

function topLayer(
  model: Model,
  cache: HybridCache,
  x: Tensor,
  rope: Rope,
  rule: WindowRule,
  wanted: readonly number[],
): Tensor | undefined {
  const { device, config } = model;
  const layer = config.layers - 1;
  const tokens = at(x.shape, 0);
  const rows =
    wanted.length === 0 ? { first: tokens - 1, last: tokens - 1 } : { first: at(wanted, 0), last: at(wanted, wanted.length - 1) };
  const { q, k, v } = projectRows(model, layer, x, rope, rows);
  if (wanted.length === 0) {
    cache.append(layer, { k, v });
    device.free(q, k, v);
    return undefined;
  }
  const attention = cache.attend(layer, q, { k, v }, rule, cache.tokens + rows.first);
  const result = device.scope(() => {
    const part = device.sliceRows(x, rows.first, rows.last - rows.first + 1);
    const out = finalNorm(model, complete(model, layer, part, attention));
    const picked = Int32Array.from(wanted, (row) => row - rows.first);
    return logits(model, picked.length === rows.last - rows.first + 1 ? out : device.gatherRows(out, picked));
  });
  device.free(q, k, v, attention);
  return result;
}

/** Keys and values of all rows, queries of `rows` only. */
function projectRows(model: Model, layer: number, x: Tensor, rope: Rope, rows: Rows): ReturnType<typeof project> {
  const { device } = model;
  const count = rows.last - rows.first + 1;
  const cos = device.sliceRows(rope.cos, rows.first, count);
  const sin = device.sliceRows(rope.sin, rows.first, count);
  const projections = project(model, layer, x, rope, { rows: positionsFrom(rows.first, count), rope: { cos, sin } });
  device.free(cos, sin);
  return projections;
}
