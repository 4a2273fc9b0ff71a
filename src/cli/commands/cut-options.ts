/** What the commands that choose a cut have in common: the flags, and the model they may be held against. */
import { InputError } from '../../errors.js';
import { readModelInfo } from '../../model/load.js';
import { checkShape } from '../../pattern/check.js';
import type { CutContext, ResolvedCut } from '../../pattern/cut.js';
import type { Pattern } from '../../pattern/schema.js';
import type { Io } from '../command.js';
import { localModel } from '../model-path.js';
import type { ModelOptions } from '../model-path.js';

export const CUT_FLAGS = ['retrievalRatio', 'sparsity', 'threshold', 'kvBudget', 'context'] as const;

export interface ContextOptions extends ModelOptions {
  readonly context?: number | undefined;
}

/** What bytes are counted for; a model that is named must have the pattern's shape. @throws InputError when it has not */
export async function cutContext(pattern: Pattern, options: ContextOptions, io: Io): Promise<CutContext> {
  if (options.model === undefined) return { contextTokens: options.context };
  const { config } = readModelInfo(await localModel(options, io), io.warn);
  checkShape(pattern, config);
  return { contextTokens: options.context ?? config.maxPositions, headDim: config.headDim, layerWindows: config.windows };
}

/** The pattern with the deployed window that the flags name. */
export function withWindow(pattern: Pattern, given: { readonly sink?: number | undefined; readonly recent?: number | undefined }): Pattern {
  const { sink, recent, block } = pattern.windows.deployed;
  return { ...pattern, windows: { ...pattern.windows, deployed: { sink: given.sink ?? sink, recent: given.recent ?? recent, block } } };
}

/** `32x8` as layers and KV heads. @throws InputError */
export function parseShape(text: string): { readonly layers: number; readonly kvHeads: number } {
  const [, layers, kvHeads] = /^([1-9]\d{0,5})x([1-9]\d{0,5})$/.exec(text) ?? [];
  if (layers !== undefined && kvHeads !== undefined) return { layers: Number(layers), kvHeads: Number(kvHeads) };
  throw new InputError({ code: 'shape', what: '--shape is not a shape', given: text, expected: 'layers x KV heads, such as 32x8' });
}

/** A cut as data: the mask as rows of 0 and 1. */
export function cutJson(cut: ResolvedCut): Readonly<Record<string, unknown>> {
  return { ...cut, mask: cut.mask.map((row) => row.map(Number)) };
}
