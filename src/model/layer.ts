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
import type { ModelConfig } from './config.js';
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
    const normed = device.rmsNorm(x, weights.inputNorm, config.rmsNormEps);
    const forQueries = queries ? device.gatherRows(normed, queries.rows) : normed;
    const q = heads(device, device.matmul(forQueries, weights.q), config.queryHeads);
    const k = heads(device, device.matmul(normed, weights.k), config.kvHeads);
    const queryRope = queries?.rope ?? rope;
    return {
      q: device.rope(q, queryRope.cos, queryRope.sin),
      k: device.rope(k, rope.cos, rope.sin),
      v: heads(device, device.matmul(normed, weights.v), config.kvHeads),
    };
  });
}

/** Gradient to x from gradients to the projections. */
export function projectBackward(model: Model, layer: number, gradients: Projections, x: Tensor, rope: Rope, queries?: QueryRows): Tensor {
  const { device, config } = model;
  const weights = at(model.weights.layers, layer);
  return device.scope(() => {
    const queryRope = queries?.rope ?? rope;
    const dq = device.ropeBackward(gradients.q, queryRope.cos, queryRope.sin);
    const dk = device.ropeBackward(gradients.k, rope.cos, rope.sin);
    const dqNormed = device.matmulBackward(flat(device, dq), weights.q);
    const dkNormed = device.matmulBackward(flat(device, dk), weights.k);
    const dvNormed = device.matmulBackward(flat(device, gradients.v), weights.v);
    const dqRows = queries ? device.gatherRowsBackward(dqNormed, queries.rows, rowsOf(x)) : dqNormed;
    return device.rmsNormBackward(device.add(dqRows, device.add(dkNormed, dvNormed)), x, weights.inputNorm, config.rmsNormEps);
  });
}

/** The layer's output from its input x (tokens, hidden) and its attention (tokens, queryHeads, headDim). */
export function complete(model: Model, layer: number, x: Tensor, attention: Tensor): Tensor {
  const { device } = model;
  const weights = at(model.weights.layers, layer);
  return device.scope(() => {
    const residual = device.add(x, device.matmul(flat(device, attention), weights.o));
    const { gate, up } = mlpInputs(device, model.config, weights, residual);
    return device.add(residual, device.matmul(device.swiglu(gate, up), weights.down));
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
  const { device, config } = model;
  const weights = at(model.weights.layers, layer);
  return device.scope(() => {
    const residual = device.add(x, device.matmul(flat(device, attention), weights.o));
    const { gate, up } = mlpInputs(device, config, weights, residual);
    const { dGate, dUp } = device.swigluBackward(device.matmulBackward(dy, weights.down), gate, up);
    const dNormed = device.add(device.matmulBackward(dGate, weights.gate), device.matmulBackward(dUp, weights.up));
    const dx = device.add(dy, device.rmsNormBackward(dNormed, residual, weights.postNorm, config.rmsNormEps));
    return { dx, dAttention: device.reshape(device.matmulBackward(dx, weights.o), attention.shape) };
  });
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

function mlpInputs(device: Device, config: ModelConfig, weights: LayerWeights, residual: Tensor): { gate: Tensor; up: Tensor } {
  const normed = device.rmsNorm(residual, weights.postNorm, config.rmsNormEps);
  return { gate: device.matmul(normed, weights.gate), up: device.matmul(normed, weights.up) };
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
