/**
 * The two-way pass: the frozen model (teacher) and the same model with gated attention (student) on one sample, the
 * distillation loss between their final hidden states at the labelled tokens, and its gradient to the gates.
 *
 *   student attention = g * full + (1 - g) * streaming      per KV head (paper, equation 1)
 *
 * In a layer with the model's own window, full is that window and streaming what both rules allow.
 *
 * What is not needed is not computed, with the same gradients:
 * - the last layer runs at the labelled tokens only (keys and values at all);
 * - layer 0 sees the same input in both passes: its projections and full attention are shared;
 * - layer 0's backward ends at its gates, since nothing below it has any;
 * - attention outputs are kept from the forward, so the backward recomputes projections and the MLP, but no attention.
 */
import type { Attention, AttentionInputs, Device, Tensor, Window } from '../device/device.js';
import { at } from '../errors.js';
import { fullAttention, fullAttentionBackward, reachOf, windowWithin } from '../model/attention.js';
import { complete, completeBackward, embedTokens, finalNorm, finalNormBackward, project, projectBackward } from '../model/layer.js';
import type { Projections, QueryRows } from '../model/layer.js';
import type { Model } from '../model/model.js';
import { positionsFrom, ropeAt } from '../model/rope.js';
import type { Rope } from '../model/rope.js';
import { clamped, throughClamp } from './gates.js';
import type { Gates } from './gates.js';

/** Whose full attention the student mixes in: its own (ours), or the teacher's output (the reference). */
export type FullBranch = 'own' | 'teacher';

export interface TwoWayOptions {
  readonly window: Window;
  readonly fullBranch: FullBranch;
}

export interface TwoWayResult {
  /** Mean over labelled tokens and hidden dimensions of the squared difference. */
  readonly distill: number;
  /** Gradient of `distill` to the raw gates, [layer][kvHead]. */
  readonly gradients: readonly Float32Array[];
}

/** One sample on the device: what both passes share. */
interface Sample {
  readonly ids: Int32Array;
  readonly rope: Rope;
  /** The tokens whose final hidden state is wanted: the only queries of the last layer. */
  readonly queries: QueryRows;
}

/** What the backward of a student layer needs. */
interface LayerRecord {
  readonly x: Tensor; // (tokens, hidden)
  readonly full: Tensor; // (queryTokens, queryHeads, headDim)
  readonly fullLse: Tensor | undefined; // absent where the full branch is the teacher's
  readonly stream: Attention;
}

/** What the teacher leaves for the student. */
interface Teacher {
  readonly hidden: Tensor; // (wanted, hidden), after the final norm
  /** Layer 0's input, projections and full attention, or that of every layer for the `teacher` branch. */
  readonly embedded: Tensor;
  readonly firstProjections: Projections;
  readonly firstFull: Attention;
  readonly fulls: readonly Tensor[];
}

/** Loss and gate gradients for one sample. `labelled`: positions of the labelled tokens, ascending, at least one. */
export function twoWayStep(model: Model, ids: Int32Array, labelled: Int32Array, gates: Gates, options: TwoWayOptions): TwoWayResult {
  const { device } = model;
  const { loss, dGates } = device.scope(() => {
    const sample = prepare(model, ids, labelled);
    const teacher = runTeacher(model, sample, options.fullBranch);
    const uploaded = uploadGates(device, gates);
    const { records, x } = runStudent(model, sample, teacher, uploaded, options);
    const hidden = finalNorm(model, x);
    const dy = finalNormBackward(model, device.maskedMseBackward(teacher.hidden, hidden), x);
    return { loss: device.maskedMse(teacher.hidden, hidden), dGates: runBackward(model, sample, records, uploaded, dy, options) };
  });
  const result = {
    distill: at(device.download(loss), 0),
    gradients: throughClamp(
      gates,
      dGates.map((gradient) => device.download(gradient)),
    ),
  };
  device.free(loss, ...dGates);
  return result;
}

/** Final hidden states (wanted, hidden) of teacher and student at `wanted` positions, without gradients. */
export function twoWayForward(
  model: Model,
  ids: Int32Array,
  wanted: Int32Array,
  gates: Gates,
  options: TwoWayOptions,
): { readonly teacher: Tensor; readonly student: Tensor } {
  return model.device.scope(() => {
    const sample = prepare(model, ids, wanted);
    const teacher = runTeacher(model, sample, options.fullBranch);
    const { x } = runStudent(model, sample, teacher, uploadGates(model.device, gates), options);
    return { teacher: teacher.hidden, student: finalNorm(model, x) };
  });
}

function prepare(model: Model, ids: Int32Array, wanted: Int32Array): Sample {
  const rope = ropeAt(model.device, model.config, positionsFrom(0, ids.length));
  return { ids, rope, queries: { rows: wanted, rope: ropeAt(model.device, model.config, wanted) } };
}

function uploadGates(device: Device, gates: Gates): Tensor[] {
  return clamped(gates).map((row) => device.upload(row, [row.length]));
}

function runTeacher(model: Model, sample: Sample, fullBranch: FullBranch): Teacher {
  const { device, config } = model;
  const embedded = embedTokens(model, sample.ids);
  const firstProjections = projectAt(model, 0, embedded, sample);
  const firstFull = fullAttention(device, inputsAt(model, 0, firstProjections, sample), reachAt(model, 0, sample));
  const fulls = [firstFull.out];
  let x = completeAt(model, 0, embedded, firstFull.out, sample);
  for (let layer = 1; layer < config.layers; layer++) {
    const next = device.scope(() => {
      const projections = projectAt(model, layer, x, sample);
      const { out } = fullAttention(device, inputsAt(model, layer, projections, sample), reachAt(model, layer, sample));
      return { out, x: completeAt(model, layer, x, out, sample) };
    });
    device.free(x);
    if (fullBranch === 'teacher') fulls.push(next.out);
    else device.free(next.out);
    x = next.x;
  }
  return { hidden: finalNorm(model, x), embedded, firstProjections, firstFull, fulls };
}

function runStudent(
  model: Model,
  sample: Sample,
  teacher: Teacher,
  gates: readonly Tensor[],
  options: TwoWayOptions,
): { readonly records: readonly LayerRecord[]; readonly x: Tensor } {
  const { device, config } = model;
  const records: LayerRecord[] = [];
  let x = teacher.embedded;
  for (let layer = 0; layer < config.layers; layer++) {
    const { record, next } = device.scope(() => {
      const record = attendTwoWay(model, layer, x, sample, teacher, options);
      const mixed = device.mixGates(record.full, record.stream.out, at(gates, layer));
      return { record, next: completeAt(model, layer, x, mixed, sample) };
    });
    records.push(record);
    x = next;
  }
  return { records, x };
}

function attendTwoWay(model: Model, layer: number, x: Tensor, sample: Sample, teacher: Teacher, options: TwoWayOptions): LayerRecord {
  const { device } = model;
  const projections = layer === 0 ? teacher.firstProjections : projectAt(model, layer, x, sample);
  const inputs = inputsAt(model, layer, projections, sample);
  const reach = reachAt(model, layer, sample);
  const stream = device.streamingAttention(inputs, windowWithin(options.window, reach));
  if (options.fullBranch === 'teacher') return { x, full: at(teacher.fulls, layer), fullLse: undefined, stream };
  const full = layer === 0 ? teacher.firstFull : fullAttention(device, inputs, reach);
  return { x, full: full.out, fullLse: full.lse, stream };
}

/** Gate gradients of every layer from dy, the gradient to the last layer's output at the labelled tokens. */
function runBackward(
  model: Model,
  sample: Sample,
  records: readonly LayerRecord[],
  gates: readonly Tensor[],
  dy: Tensor,
  options: TwoWayOptions,
): Tensor[] {
  const dGates: Tensor[] = [];
  let dNext = dy;
  for (let layer = records.length - 1; layer >= 0; layer--) {
    const { dx, dGate } = model.device.scope(() =>
      layerBackward(model, layer, sample, at(records, layer), at(gates, layer), dNext, options),
    );
    dGates.unshift(dGate);
    model.device.free(dNext);
    if (dx === undefined) break;
    dNext = dx;
  }
  return dGates;
}

function layerBackward(
  model: Model,
  layer: number,
  sample: Sample,
  record: LayerRecord,
  gates: Tensor,
  dy: Tensor,
  options: TwoWayOptions,
): { readonly dx: Tensor | undefined; readonly dGate: Tensor } {
  const { device } = model;
  const { dResidual, dFull, dStream, dGate } = device.scope(() => outputBackward(model, layer, sample, record, gates, dy));
  if (layer === 0) return { dx: undefined, dGate };
  const dProjections = device.scope(() => {
    const inputs = inputsAt(model, layer, projectAt(model, layer, record.x, sample), sample);
    return attentionBackward(device, inputs, record, dFull, dStream, options.window, reachAt(model, layer, sample));
  });
  device.free(dFull, dStream);
  const dProjected = projectBackward(model, layer, dProjections, record.x, sample.rope, queriesAt(model, layer, sample));
  const dInput = isLast(model, layer) ? device.gatherRowsBackward(dResidual, sample.queries.rows, at(record.x.shape, 0)) : dResidual;
  return { dx: device.add(dInput, dProjected), dGate };
}

/** From the layer's output to its residual input, both attention branches, and its gates. */
function outputBackward(
  model: Model,
  layer: number,
  sample: Sample,
  record: LayerRecord,
  gates: Tensor,
  dy: Tensor,
): { readonly dResidual: Tensor; readonly dFull: Tensor; readonly dStream: Tensor; readonly dGate: Tensor } {
  const { device } = model;
  const mixed = device.mixGates(record.full, record.stream.out, gates);
  const { dx, dAttention } = completeBackward(model, layer, dy, residualRows(model, layer, record.x, sample), mixed);
  const { dFull, dStream, dGates } = device.mixGatesBackward(dAttention, record.full, record.stream.out, gates);
  return { dResidual: dx, dFull, dStream, dGate: dGates };
}

function attentionBackward(
  device: Device,
  inputs: AttentionInputs,
  record: LayerRecord,
  dFull: Tensor,
  dStream: Tensor,
  window: Window,
  reach: number | undefined,
): Projections {
  const stream = device.streamingAttentionBackward(dStream, inputs, record.stream, windowWithin(window, reach));
  if (record.fullLse === undefined) return { q: stream.dq, k: stream.dk, v: stream.dv };
  const full = fullAttentionBackward(device, dFull, inputs, { out: record.full, lse: record.fullLse }, reach);
  return { q: device.add(stream.dq, full.dq), k: device.add(stream.dk, full.dk), v: device.add(stream.dv, full.dv) };
}

function isLast(model: Model, layer: number): boolean {
  return layer === model.config.layers - 1;
}

function reachAt(model: Model, layer: number, sample: Sample): number | undefined {
  return reachOf(model.config, layer, sample.ids.length);
}

function queriesAt(model: Model, layer: number, sample: Sample): QueryRows | undefined {
  return isLast(model, layer) ? sample.queries : undefined;
}

function projectAt(model: Model, layer: number, x: Tensor, sample: Sample): Projections {
  return project(model, layer, x, sample.rope, queriesAt(model, layer, sample));
}

function inputsAt(model: Model, layer: number, { q, k, v }: Projections, sample: Sample): AttentionInputs {
  return isLast(model, layer) ? { q, k, v, queryPositions: sample.queries.rows } : { q, k, v };
}

function completeAt(model: Model, layer: number, x: Tensor, attention: Tensor, sample: Sample): Tensor {
  return complete(model, layer, residualRows(model, layer, x, sample), attention);
}

/** The layer's input at the tokens its output is wanted for. */
function residualRows(model: Model, layer: number, x: Tensor, sample: Sample): Tensor {
  return isLast(model, layer) ? model.device.gatherRows(x, sample.queries.rows) : x;
}
