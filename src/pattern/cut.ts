/** The cut a user asks for, in whichever of four ways, resolved to the numbers that every command echoes. */
import type { KvBudget } from '../config/values.js';
import { at, InputError } from '../errors.js';
import { CACHE_ELEMENT_BYTES, maskBytes, streamingTokens } from './cache-bytes.js';
import { fullHeadCount, maskOf, rankHeads } from './mask.js';
import type { Cut } from './mask.js';
import type { GateRows, Mask, Pattern } from './schema.js';

/** What a share written in decimals is off by. */
const SHARE_TOLERANCE = 1e-12;

/** The flags that choose a cut; at most one of them may be given. */
export interface CutOptions {
  readonly retrievalRatio?: readonly number[] | undefined;
  readonly sparsity?: readonly number[] | undefined;
  readonly threshold?: number | undefined;
  readonly kvBudget?: KvBudget | undefined;
}

export type CutRequest = Cut | { readonly by: 'kvBudget'; readonly value: KvBudget };

/** What the bytes are for. What is left out comes from the pattern; bytes stay unknown when it does not say. */
export interface CutContext {
  readonly contextTokens?: number | undefined;
  readonly headDim?: number | undefined;
  readonly bytesPerElement?: number | undefined;
  /** The deployed window of the run. */
  readonly window?: { readonly sink: number; readonly recent: number } | undefined;
  /** The model's own window of each layer, null where there is none. */
  readonly layerWindows?: readonly (number | null)[] | undefined;
}

/** A cut with everything that follows from it; null = not known, or (threshold) no head is full. */
export interface ResolvedCut {
  readonly requested: CutRequest;
  /** Shares of KV heads that the mask really has, which may differ from those asked for by less than one head. */
  readonly retrievalRatio: number;
  readonly sparsity: number;
  /** The lowest raw gate that stays full. */
  readonly threshold: number | null;
  readonly fullHeads: number;
  readonly streamingHeads: number;
  readonly contextTokens: number | null;
  readonly bytesPerElement: number;
  readonly cacheBytes: number | null;
  readonly denseBytes: number | null;
  /** cacheBytes / denseBytes, known also where headDim is not. */
  readonly cacheShare: number | null;
  readonly mask: Mask;
}

/** The cuts that the options ask for, `fallback` when they ask for none. @throws InputError when they ask in two ways. */
export function requestedCuts(options: CutOptions, fallback: readonly CutRequest[] = []): readonly CutRequest[] {
  const { retrievalRatio, sparsity, threshold, kvBudget } = options;
  const given: Readonly<Record<string, readonly CutRequest[] | undefined>> = {
    '--retrieval-ratio': retrievalRatio?.map((value) => ({ by: 'retrievalRatio', value })),
    '--sparsity': sparsity?.map((value) => ({ by: 'sparsity', value })),
    '--threshold': threshold === undefined ? undefined : [{ by: 'threshold', value: threshold }],
    '--kv-budget': kvBudget === undefined ? undefined : [{ by: 'kvBudget', value: kvBudget }],
  };
  const names = Object.keys(given).filter((name) => given[name] !== undefined);
  if (names.length > 1)
    throw new InputError({
      code: 'cut_twice',
      what: 'the cut is given in more than one way',
      given: names.join(', '),
      expected: 'one of them',
    });
  return names.length === 0 ? fallback : (given[at(names, 0)] ?? fallback);
}

/** As `requestedCuts`, where one cut is wanted. @throws InputError when there are several */
export function requestedCut(options: CutOptions, fallback: CutRequest): CutRequest;
export function requestedCut(options: CutOptions): CutRequest | undefined;
export function requestedCut(options: CutOptions, fallback?: CutRequest): CutRequest | undefined {
  const cuts = requestedCuts(options, fallback === undefined ? [] : [fallback]);
  if (cuts.length > 1)
    throw new InputError({
      code: 'cut_several',
      what: 'several cuts are given where one is needed',
      given: cuts.map(requestText).join(', '),
      expected: 'one value',
    });
  return cuts[0];
}

/** The flag that asks for a cut: `--retrieval-ratio 0.5`, `--kv-budget 60%`. */
export function requestText(request: CutRequest): string {
  switch (request.by) {
    case 'kvBudget':
      return `--kv-budget ${request.value.kind === 'share' ? `${Number((request.value.value * 100).toPrecision(12))}%` : request.value.value}`;
    case 'fullHeads':
      return `${request.value} full heads`;
    case 'retrievalRatio':
      return `--retrieval-ratio ${request.value}`;
    case 'sparsity':
    case 'threshold':
      return `--${request.by} ${request.value}`;
  }
}

/**
 * The mask and its numbers at a cut. A budget is solved to the highest retrieval ratio that fits.
 * @throws InputError when a budget cannot be met, or when the context or head size it needs is not known.
 */
export function resolveCut(
  pattern: Pick<Pattern, 'gates' | 'model' | 'windows'>,
  request: CutRequest,
  context: CutContext = {},
): ResolvedCut {
  const heads = pattern.model.layers * pattern.model.kvHeads;
  const cache = cacheFor(pattern, context);
  const fullHeads = request.by === 'kvBudget' ? headsWithin(request.value, pattern.gates, cache) : fullHeadCount(pattern.gates, request);
  const mask = maskOf(pattern.gates, fullHeads);
  const bytes = bytesOf(cache, mask);
  const dense = bytesOf(cache, maskOf(pattern.gates, heads));
  return {
    requested: request,
    retrievalRatio: fullHeads / heads,
    sparsity: (heads - fullHeads) / heads,
    threshold: fullHeads === 0 ? null : at(rankHeads(pattern.gates), fullHeads - 1).gate,
    fullHeads,
    streamingHeads: heads - fullHeads,
    contextTokens: cache.contextTokens ?? null,
    bytesPerElement: cache.bytesPerElement,
    cacheBytes: cache.headDim === undefined ? null : bytes,
    denseBytes: cache.headDim === undefined ? null : dense,
    cacheShare: bytes === null || dense === null ? null : bytes / dense,
    mask,
  };
}

interface Cache {
  readonly contextTokens: number | undefined;
  readonly headDim: number | undefined;
  readonly bytesPerElement: number;
  readonly sink: number;
  readonly recent: number;
  readonly layerWindows: readonly (number | null)[] | undefined;
}

function cacheFor(pattern: Pick<Pattern, 'model' | 'windows'>, context: CutContext): Cache {
  const { sink, recent } = context.window ?? pattern.windows.deployed;
  return {
    contextTokens: context.contextTokens ?? pattern.model.maxPositions,
    headDim: context.headDim ?? pattern.model.headDim,
    bytesPerElement: context.bytesPerElement ?? CACHE_ELEMENT_BYTES,
    sink,
    recent,
    layerWindows: context.layerWindows ?? pattern.model.layerWindows,
  };
}

/** Bytes, or a number proportional to them where the head size is not known. */
function bytesOf({ layerWindows, contextTokens, ...cache }: Cache, mask: Mask): number | null {
  if (contextTokens === undefined) return null;
  return maskBytes({ ...cache, contextTokens, headDim: cache.headDim ?? 1 }, mask, layerWindows);
}

/** The most full heads whose cache fits a budget, found by halves: a head never takes less when it becomes full. */
function headsWithin(budget: KvBudget, gates: GateRows, cache: Cache): number {
  const { contextTokens, headDim } = cache;
  if (contextTokens === undefined) throw missing('the context length', '--context <tokens>');
  if (budget.kind === 'bytes' && headDim === undefined)
    throw missing("the model's head size", '--model <dir>, or a share such as --kv-budget 60%');
  const size = (full: number): number => bytesOf(cache, maskOf(gates, full)) ?? 0;
  const heads = gates.reduce((sum, row) => sum + row.length, 0);
  const limit = budget.kind === 'share' ? budget.value * size(heads) * (1 + SHARE_TOLERANCE) : budget.value;
  if (size(0) > limit) throw tooSmall(budget, size(0), size(heads), { ...cache, contextTokens });
  let [fitting, most] = [0, heads];
  while (fitting < most) {
    const middle = Math.ceil((fitting + most) / 2);
    if (size(middle) <= limit) fitting = middle;
    else most = middle - 1;
  }
  return fitting;
}

function missing(what: string, hint: string): InputError {
  return new InputError({ code: 'budget_unknown', what: `a cache budget needs ${what}, which the pattern does not say`, hint });
}

function tooSmall(budget: KvBudget, least: number, dense: number, cache: Cache & { readonly contextTokens: number }): InputError {
  const kept = streamingTokens(cache, cache.contextTokens);
  const share = `${Math.ceil((least / dense) * 1e4) / 100}%`;
  return new InputError({
    code: 'budget_small',
    what: 'the cache budget is too small even when every head streams',
    given: requestText({ by: 'kvBudget', value: budget }),
    expected: `at least ${budget.kind === 'share' ? share : `${least} bytes`}: ${kept} tokens a head at a context of ${cache.contextTokens} tokens`,
    hint: 'a larger --kv-budget, or a smaller --sink and --recent',
  });
}
