/**
 * One decoder layer, forward and backward, in two halves around attention:
 *
 *   project   x ─► norm ─► q, k, v ─► rope
 *   complete  x + o(attention) ─► + mlp(norm(·))
 *
 * What attention does between them is the caller's: dense, gated two-way, or over a cache. Backwards recompute what
 * they need from the layer's input (activation checkpointing), weights are frozen, and only gradients to activations exist.
 */
import type { Device, Tensor } from '../device/device.js';
import { at } from '../errors.js';
import type { LayerWeights, Model } from './model.js';
import type { Rope } from './rope.js';

export interface Projections {
  readonly q: Tensor; // (queryTokens, queryHeads, headDim)
  readonly k: Tensor; // (tokens, kvHeads, headDim)
  readonly v: Tensor; // (tokens, kvHeads, headDim)
}

/** Queries wanted for some tokens only: their rows of x and their rotary tables. */
export interface QueryRows {
  readonly rows: Int32Array;
  readonly rope: Rope;
}

/** Token embeddings, (tokens, hidden). */
export function embedTokens(model: Model, ids: Int32Array): Tensor {
  return model.device.embed(model.weights.embedding, ids);
}

/** Queries, keys and values of a layer for x (tokens, hidden); with `queries`, q holds those rows only. */
export function project(model: Model, layer: number, x: Tensor, rope: Rope, queries?: QueryRows): Projections {
  const { device, config } = model;
  const weights = at(model.weights.layers, layer);
  return device.scope(() => {
    const { normed, q, k } = queriesAndKeys(model, weights, x, queries);
    return {
      q: rotate(model, layer, heads(device, widthNorm(model, q, weights.qNorm), config.queryHeads), queries?.rope ?? rope),
      k: rotate(model, layer, heads(device, widthNorm(model, k, weights.kNorm), config.kvHeads), rope),
      v: heads(device, linear(device, normed, weights.v, weights.vBias), config.kvHeads),
    };
  });
}

/** Gradient to x from gradients to the projections. */
export function projectBackward(model: Model, layer: number, gradients: Projections, x: Tensor, rope: Rope, queries?: QueryRows): Tensor {
  const { device } = model;
  const weights = at(model.weights.layers, layer);
  return device.scope(() => {
    const dq = flat(device, rotateBackward(model, layer, gradients.q, queries?.rope ?? rope));
    const dk = flat(device, rotateBackward(model, layer, gradients.k, rope));
    const raw = queriesAndKeysBackward(model, weights, { q: dq, k: dk }, x, queries);
    const dqNormed = device.matmulBackward(raw.q, weights.q);
    const dkNormed = device.matmulBackward(raw.k, weights.k);
    const dvNormed = device.matmulBackward(flat(device, gradients.v), weights.v);
    const dqRows = queries ? device.gatherRowsBackward(dqNormed, queries.rows, rowsOf(x)) : dqNormed;
    return normBackward(model, device.add(dqRows, device.add(dkNormed, dvNormed)), x, weights.inputNorm);
  });
}

interface QueriesAndKeys {
  readonly q: Tensor; // (queryTokens, queryHeads * headDim)
  readonly k: Tensor; // (tokens, kvHeads * headDim)
}

/** Queries and keys before their norms, and x after its own. */
function queriesAndKeys(model: Model, weights: LayerWeights, x: Tensor, queries?: QueryRows): QueriesAndKeys & { readonly normed: Tensor } {
  const { device } = model;
  const normed = norm(model, x, weights.inputNorm); // (tokens, hidden)
  const forQueries = queries ? device.gatherRows(normed, queries.rows) : normed;
  const q = linear(device, forQueries, weights.q, weights.qBias);
  return { normed, q, k: linear(device, normed, weights.k, weights.kBias) };
}

/** Gradients before the norms of queries and keys; only where there are such norms is anything recomputed. */
function queriesAndKeysBackward(
  model: Model,
  weights: LayerWeights,
  gradients: QueriesAndKeys,
  x: Tensor,
  queries?: QueryRows,
): QueriesAndKeys {
  if (!weights.qNorm && !weights.kNorm) return gradients;
  const { q, k } = queriesAndKeys(model, weights, x, queries);
  return {
    q: widthNormBackward(model, gradients.q, q, weights.qNorm),
    k: widthNormBackward(model, gradients.k, k, weights.kNorm),
  };
}

/** The layer's output from its input x (tokens, hidden) and its attention (tokens, queryHeads, headDim). */
export function complete(model: Model, layer: number, x: Tensor, attention: Tensor): Tensor {
  const { device } = model;
  const weights = at(model.weights.layers, layer);
  return device.scope(() => {
    const { residual } = afterAttention(model, weights, x, attention);
    return device.add(residual, norm(model, mlp(model, weights, residual).out, weights.mlpOutNorm));
  });
}

/** Gradients to the layer's input (its residual path alone) and to its attention. */
export function completeBackward(
  model: Model,
  layer: number,
  dy: Tensor,
  x: Tensor,
  attention: Tensor,
): { readonly dx: Tensor; readonly dAttention: Tensor } {
  const { device } = model;
  const weights = at(model.weights.layers, layer);
  return device.scope(() => {
    const { projected, residual } = afterAttention(model, weights, x, attention);
    const dx = device.add(dy, mlpBackward(model, weights, dy, residual));
    const dProjected = normBackward(model, dx, projected, weights.attentionOutNorm);
    return { dx, dAttention: device.reshape(device.matmulBackward(dProjected, weights.o), attention.shape) };
  });
}

interface AfterAttention {
  /** Attention through its output projection. */
  readonly projected: Tensor; // (tokens, hidden)
  readonly residual: Tensor; // (tokens, hidden)
}

function afterAttention(model: Model, weights: LayerWeights, x: Tensor, attention: Tensor): AfterAttention {
  const { device } = model;
  const projected = linear(device, flat(device, attention), weights.o, weights.oBias);
  return { projected, residual: device.add(x, norm(model, projected, weights.attentionOutNorm)) };
}

interface Mlp {
  readonly gate: Tensor; // (tokens, intermediate)
  readonly up: Tensor; // (tokens, intermediate)
  readonly out: Tensor; // (tokens, hidden)
}

function mlp(model: Model, weights: LayerWeights, residual: Tensor): Mlp {
  const { device } = model;
  const { gate, up } = mlpInputs(model, weights, residual);
  return { gate, up, out: linear(device, device.swiglu(gate, up), weights.down, weights.downBias) };
}

/** Gradient to `residual` through the MLP and the norms around it. */
function mlpBackward(model: Model, weights: LayerWeights, dy: Tensor, residual: Tensor): Tensor {
  const { device } = model;
  // What the MLP gives is needed again only where a norm follows it.
  const { gate, up, out } = weights.mlpOutNorm ? mlp(model, weights, residual) : { ...mlpInputs(model, weights, residual), out: dy };
  const dOut = normBackward(model, dy, out, weights.mlpOutNorm);
  const { dGate, dUp } = device.swigluBackward(device.matmulBackward(dOut, weights.down), gate, up);
  const dNormed = device.add(device.matmulBackward(dGate, weights.gate), device.matmulBackward(dUp, weights.up));
  return normBackward(model, dNormed, residual, weights.mlpNorm);
}

/** The final norm, (tokens, hidden). */
export function finalNorm(model: Model, x: Tensor): Tensor {
  return model.device.rmsNorm(x, model.weights.finalNorm, model.config.rmsNormEps);
}

export function finalNormBackward(model: Model, dy: Tensor, x: Tensor): Tensor {
  return model.device.rmsNormBackward(dy, x, model.weights.finalNorm, model.config.rmsNormEps);
}

/** Logits, (tokens, vocab), of states after the final norm. */
export function logits(model: Model, normed: Tensor): Tensor {
  return model.device.matmul(normed, model.weights.head);
}

function mlpInputs(model: Model, weights: LayerWeights, residual: Tensor): { gate: Tensor; up: Tensor } {
  const { device } = model;
  const normed = norm(model, residual, weights.mlpNorm);
  return { gate: linear(device, normed, weights.gate, weights.gateBias), up: linear(device, normed, weights.up, weights.upBias) };
}

function linear(device: Device, x: Tensor, weight: Tensor, bias: Tensor | undefined): Tensor {
  const product = device.matmul(x, weight);
  return bias ? device.add(product, bias) : product;
}

/** x itself where a family has no such norm. */
function norm({ device, config }: Model, x: Tensor, weight: Tensor | undefined): Tensor {
  return weight ? device.rmsNorm(x, weight, config.rmsNormEps) : x;
}

function normBackward({ device, config }: Model, dy: Tensor, x: Tensor, weight: Tensor | undefined): Tensor {
  return weight ? device.rmsNormBackward(dy, x, weight, config.rmsNormEps) : dy;
}

/** Norm of queries or keys (tokens, n * headDim), over as many elements at a time as `weight` has: a head, or all of them. */
function widthNorm(model: Model, x: Tensor, weight: Tensor | undefined): Tensor {
  return weight ? model.device.reshape(norm(model, byWidth(model, x, weight), weight), x.shape) : x;
}

function widthNormBackward(model: Model, dy: Tensor, x: Tensor, weight: Tensor | undefined): Tensor {
  return weight ? model.device.reshape(normBackward(model, byWidth(model, dy, weight), byWidth(model, x, weight), weight), dy.shape) : dy;
}

function byWidth({ device }: Model, x: Tensor, weight: Tensor): Tensor {
  const width = at(weight.shape, 0);
  return device.reshape(x, [(rowsOf(x) * at(x.shape, 1)) / width, width]);
}

function rotate({ device, config }: Model, layer: number, x: Tensor, rope: Rope): Tensor {
  return config.noRopeLayers.includes(layer) ? x : device.rope(x, rope.cos, rope.sin);
}

function rotateBackward({ device, config }: Model, layer: number, dy: Tensor, rope: Rope): Tensor {
  return config.noRopeLayers.includes(layer) ? dy : device.ropeBackward(dy, rope.cos, rope.sin);
}

/** (tokens, n * headDim) as (tokens, n, headDim). */
function heads(device: Device, x: Tensor, count: number): Tensor {
  const [tokens, width] = [at(x.shape, 0), at(x.shape, 1)];
  return device.reshape(x, [tokens, count, width / count]);
}

function flat(device: Device, x: Tensor): Tensor {
  return device.reshape(x, [at(x.shape, 0), at(x.shape, 1) * at(x.shape, 2)]);
}

function rowsOf(x: Tensor): number {
  return at(x.shape, 0);
}
