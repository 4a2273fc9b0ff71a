/** Attention of calibration, as data: shapes, windows and queries that between them reach every branch. */
import {
  windowSees,
  type Attention,
  type AttentionGradients,
  type AttentionInputs,
  type Device,
  type Tensor,
  type Window,
} from '../../src/device/device.js';
import { at } from '../../src/errors.js';
import { seededSubset, seededValues, upload, uploadAll, type Values } from '../helpers/device-values.js';
import type { AttentionShape, Sees } from '../helpers/reference.js';

export interface AttentionCase extends AttentionShape {
  readonly tokens: number;
  /** Absent: causal. */
  readonly window?: Window;
  /** How many of the tokens ask, at random positions with the last among them; absent: all. */
  readonly queries?: number;
}

export interface AttentionData {
  readonly q: Values;
  readonly k: Values;
  readonly v: Values;
  readonly dOut: Values;
  readonly queryPositions: Int32Array | undefined;
}

const perToken = (sink: number, recent: number): Window => ({ sink, recent, block: 1 });
const reaching = (reach: number, sink: number, recent: number, block = 1): Window => ({ sink, recent, block, reach });
const perBlock = (sink: number, recent: number, block: number): Window => ({ sink, recent, block });

/** Small enough for central differences in every element. */
export const SMALL_CASES: readonly AttentionCase[] = [
  { tokens: 1, heads: 2, kvHeads: 2, headDim: 8 },
  { tokens: 7, heads: 1, kvHeads: 1, headDim: 8 },
  { tokens: 6, heads: 4, kvHeads: 2, headDim: 8 },
  { tokens: 5, heads: 4, kvHeads: 1, headDim: 16 },
  { tokens: 9, heads: 2, kvHeads: 1, headDim: 8, queries: 4 },
  { tokens: 9, heads: 2, kvHeads: 2, headDim: 8, window: perToken(0, 1) },
  { tokens: 9, heads: 4, kvHeads: 2, headDim: 8, window: perToken(2, 3) },
  { tokens: 8, heads: 2, kvHeads: 1, headDim: 8, window: perToken(3, 20) },
  { tokens: 10, heads: 2, kvHeads: 2, headDim: 8, window: perBlock(1, 3, 2), queries: 5 },
  { tokens: 9, heads: 2, kvHeads: 1, headDim: 8, window: reaching(1, 2, 3) },
  { tokens: 10, heads: 2, kvHeads: 2, headDim: 8, window: reaching(2, 3, 4) },
  { tokens: 12, heads: 2, kvHeads: 1, headDim: 8, window: reaching(6, 3, 2) },
  { tokens: 11, heads: 2, kvHeads: 2, headDim: 8, window: reaching(5, 1, 3, 2), queries: 5 },
];

/** As models have them: groups of 1, 2 and 4, head dimensions up to 128, several pieces, blocks of the reference. */
export const LARGE_CASES: readonly AttentionCase[] = [
  { tokens: 100, heads: 4, kvHeads: 4, headDim: 32 },
  { tokens: 100, heads: 8, kvHeads: 2, headDim: 64, queries: 30 },
  { tokens: 50, heads: 4, kvHeads: 2, headDim: 128 },
  { tokens: 280, heads: 2, kvHeads: 1, headDim: 8 },
  { tokens: 280, heads: 2, kvHeads: 2, headDim: 8, window: perToken(0, 1) },
  { tokens: 280, heads: 4, kvHeads: 2, headDim: 16, window: perToken(4, 16) },
  { tokens: 150, heads: 4, kvHeads: 1, headDim: 128, window: perToken(16, 64) },
  { tokens: 280, heads: 2, kvHeads: 2, headDim: 8, window: perToken(70, 30), queries: 90 },
  { tokens: 280, heads: 2, kvHeads: 1, headDim: 8, window: perToken(3, 1), queries: 60 },
  { tokens: 150, heads: 4, kvHeads: 2, headDim: 16, window: perToken(8, 500) },
  { tokens: 300, heads: 2, kvHeads: 1, headDim: 16, window: perBlock(128, 128, 128) },
  { tokens: 300, heads: 2, kvHeads: 2, headDim: 16, window: perBlock(100, 130, 64), queries: 90 },
  { tokens: 280, heads: 2, kvHeads: 2, headDim: 16, window: reaching(20, 4, 16) },
  { tokens: 420, heads: 2, kvHeads: 1, headDim: 8, window: reaching(150, 20, 40) },
  { tokens: 420, heads: 2, kvHeads: 2, headDim: 8, window: reaching(60, 70, 30), queries: 90 },
  { tokens: 280, heads: 2, kvHeads: 1, headDim: 8, window: reaching(33, 40, 60) },
  { tokens: 300, heads: 2, kvHeads: 2, headDim: 16, window: reaching(100, 128, 128, 128) },
];

export function describeCase({ tokens, heads, kvHeads, headDim, window, queries }: AttentionCase): string {
  const kind = window ? `sink ${window.sink}, recent ${window.recent}, block ${window.block}${reachText(window)}` : 'causal';
  return `${kind}: ${queries ?? tokens} queries of ${tokens} tokens, ${heads} heads on ${kvHeads} of ${headDim}`;
}

function reachText({ reach }: Window): string {
  return reach === undefined ? '' : `, reach ${reach}`;
}

export function makeData(seed: number, { tokens, heads, kvHeads, headDim, queries }: AttentionCase): AttentionData {
  const asked = [queries ?? tokens, heads, headDim];
  const kept = [tokens, kvHeads, headDim];
  const queryPositions = queries === undefined ? undefined : seededSubset(seed, queries, tokens);
  return { ...seededValues(seed, { q: asked, k: kept, v: kept, dOut: asked }), queryPositions };
}

/** Which keys a query row sees: the definition, key by key. */
export function seesOf({ window }: AttentionCase, { queryPositions }: AttentionData): Sees {
  return (query, key) => {
    const position = queryPositions ? at(queryPositions, query) : query;
    return window ? bothSee(window, position, key) : key <= position;
  };
}

/** A key is visible only if the streaming head's rule and the model's own window both allow it. */
function bothSee({ reach, ...streaming }: Window, query: number, key: number): boolean {
  return windowSees(streaming, query, key) && (reach === undefined || query - key < reach);
}

export function uploadInputs(device: Device, { q, k, v, queryPositions }: AttentionData): AttentionInputs {
  return { ...uploadAll(device, { q, k, v }), ...(queryPositions ? { queryPositions } : {}) };
}

export function forward(device: Device, inputs: AttentionInputs, { window }: AttentionCase): Attention {
  return window ? device.streamingAttention(inputs, window) : device.causalAttention(inputs);
}

export function backward(
  device: Device,
  dOut: Tensor,
  inputs: AttentionInputs,
  result: Attention,
  { window }: AttentionCase,
): AttentionGradients {
  return window ? device.streamingAttentionBackward(dOut, inputs, result, window) : device.causalAttentionBackward(dOut, inputs, result);
}

/** Results and gradients on the host. */
export interface Outcome {
  readonly out: Float32Array;
  readonly lse: Float32Array;
  readonly dq: Float32Array;
  readonly dk: Float32Array;
  readonly dv: Float32Array;
}

/** Forward and backward of the case on the device. */
export function run(device: Device, data: AttentionData, attentionCase: AttentionCase): Outcome {
  return device.scope(() => {
    const inputs = uploadInputs(device, data);
    const result = forward(device, inputs, attentionCase);
    const { dq, dk, dv } = backward(device, upload(device, data.dOut), inputs, result, attentionCase);
    const host = (tensor: Tensor): Float32Array => device.download(tensor);
    return { out: host(result.out), lse: host(result.lse), dq: host(dq), dk: host(dk), dv: host(dv) };
  });
}
