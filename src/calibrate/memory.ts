/** What a calibration needs before it starts: peak bytes by counting the tensors of a step, and time by scaling one timed step. */
import { freemem } from 'node:os';
import { MemoryError } from '../errors.js';
import type { ModelConfig } from '../model/config.js';
import { formatBytes } from '../report/format.js';

/** Everything is float32 on the CPU. */
const ELEMENT_BYTES = 4;

export interface StepShape {
  readonly contextTokens: number;
  /** Labelled tokens: the only queries of the last layer. */
  readonly labelledTokens: number;
}

/** Peak bytes of the tensors of one step, weights not included: what the forward keeps, plus the widest moment of a layer's backward. */
export function stepBytes(config: ModelConfig, { contextTokens, labelledTokens }: StepShape): number {
  const { layers, hidden, intermediate, queryHeads, kvHeads, headDim } = config;
  const queries = queryHeads * headDim;
  const keysValues = 2 * kvHeads * headDim;
  // Kept: each layer's input and its two attention outputs with their log-sums, the last layer's at the labelled tokens;
  // the first projections and the rotary tables.
  const attention = 2 * (queries + queryHeads);
  const kept = layers * contextTokens * hidden + (contextTokens * (layers - 1) + labelledTokens) * attention;
  const shared = contextTokens * (queries + keysValues + headDim);
  // The widest moment of a layer: attention's backward (both branches' gradients and their sum), or the MLP's.
  const attend = 2 * queries + 4 * (queries + keysValues) + 4 * hidden;
  const mlp = 4 * intermediate + 6 * hidden + 2 * queries;
  const atLabels = labelledTokens * 3 * queries;
  return ELEMENT_BYTES * (kept + shared + atLabels + contextTokens * Math.max(attend, mlp));
}

/** Multiply-adds of one step, up to a common factor: products grow with the tokens, full attention with the keys they see. */
export function stepWork(config: ModelConfig, contextTokens: number): number {
  const { layers, hidden, intermediate, queryHeads, kvHeads, headDim, windows } = config;
  const products = hidden * headDim * (2 * queryHeads + 2 * kvHeads) + 3 * hidden * intermediate;
  const pairs = windows.reduce<number>((sum, window) => sum + visiblePairs(contextTokens, window), 0);
  return layers * contextTokens * products + 2 * pairs * queryHeads * headDim;
}

/** Pairs of a query and a key at or before it, within the layer's own window. */
function visiblePairs(contextTokens: number, window: number | null): number {
  const reach = Math.min(contextTokens, window ?? Infinity);
  return reach * (contextTokens - reach / 2);
}

/** Bytes the process may still take; Node counts the limits of a container where it can. */
export function availableBytes(): number {
  const available: unknown = Reflect.get(process, 'availableMemory');
  return typeof available === 'function' ? Number(available.call(process)) : freemem();
}

export interface MemoryPlan {
  readonly weightBytes: number;
  readonly stepBytes: number;
  /** Weights and step together. */
  readonly peakBytes: number;
  readonly availableBytes: number;
}

export function planMemory(config: ModelConfig, weightBytes: number, shape: StepShape, available = availableBytes()): MemoryPlan {
  const step = stepBytes(config, shape);
  return { weightBytes, stepBytes: step, peakBytes: weightBytes + step, availableBytes: available };
}

/** @throws MemoryError (exit 5) when the plan does not fit. */
export function checkMemory(plan: MemoryPlan, contextTokens: number): void {
  if (plan.peakBytes <= plan.availableBytes) return;
  throw new MemoryError({
    code: 'memory',
    what: 'the calibration would need more memory than is free',
    given: `${formatBytes(plan.weightBytes)} of weights and ${formatBytes(plan.stepBytes)} for a step of ${contextTokens.toLocaleString('en')} tokens`,
    expected: `at most ${formatBytes(plan.availableBytes)}`,
    hint: 'lower --max-tokens, or use a smaller model',
  });
}
