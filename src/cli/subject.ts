/** What `evaluate` and `run` have in common: a model on a device, a pattern that fits it, the window, and the cuts asked for. */
import type { WindowRule } from '../cache/hybrid-cache.js';
import type { CacheWindow } from '../cache/window-rows.js';
import type { KvBudget, Prefill } from '../config/values.js';
import { openDevice } from '../device/runtime.js';
import { InputError } from '../errors.js';
import { prefillText } from '../evaluate/row.js';
import { loadModel, readModelInfo } from '../model/load.js';
import type { Model } from '../model/model.js';
import { checkPattern, checkShape } from '../pattern/check.js';
import { requestedCut, requestedCuts, resolveCut } from '../pattern/cut.js';
import type { CutRequest, ResolvedCut } from '../pattern/cut.js';
import { readPattern } from '../pattern/read.js';
import type { Pattern } from '../pattern/schema.js';
import type { Io } from './command.js';
import { CUT_FLAGS } from './commands/cut-options.js';
import { localModel } from './model-path.js';

/** The flags that choose model, pattern and cut. */
export const SUBJECT_FLAGS = ['model', 'pattern', ...CUT_FLAGS, 'sink', 'recent'] as const;

export interface SubjectOptions {
  readonly model?: string | undefined;
  readonly offline?: boolean | undefined;
  readonly pattern?: string | undefined;
  readonly device: 'auto' | 'tensorflow' | 'wasm';
  readonly threads?: number | undefined;
  readonly retrievalRatio?: readonly number[] | undefined;
  readonly sparsity?: readonly number[] | undefined;
  readonly threshold?: number | undefined;
  readonly kvBudget?: KvBudget | undefined;
  readonly context?: number | undefined;
  readonly sink?: number | undefined;
  readonly recent?: number | undefined;
}

export interface RuleOptions {
  readonly prefill?: Prefill | undefined;
  readonly reference?: boolean | undefined;
}

export interface Subject {
  readonly model: Model;
  readonly pattern: Pattern;
  readonly window: CacheWindow;
}

/** Share of heads that keep the whole cache where no flag says it: what DuoAttention recommends for grouped queries. */
const DEFAULT_CUT: CutRequest = { by: 'retrievalRatio', value: 0.5 };

/** Chunk of the reference's own scripts, tokens. */
const REFERENCE_CHUNK = 32_000;

/** Opens pattern and model; what does not fit fails before weights are read. @throws InputError, EnvironmentError */
export async function openSubject(options: SubjectOptions, io: Io): Promise<Subject> {
  const pattern = readPattern(requirePattern(options.pattern), { warn: io.warn, sink: options.sink, recent: options.recent });
  const path = await localModel(options, io);
  checkShape(pattern, readModelInfo(path, io.warn).config);
  const { sink, recent } = pattern.windows.deployed;
  const window = { sink: options.sink ?? sink, recent: options.recent ?? recent };
  const device = await openDevice({ device: options.device, threads: options.threads, warn: io.warn, environment: io.environment });
  const model = await loadModel(path, device, { onProgress: io.onProgress, warn: io.warn, signal: io.signal });
  checkPattern(pattern, { id: model.id, hash: model.hash, ...model.config }, window, io.warn);
  return { model, pattern, window };
}

/** The cuts asked for. A budget is for --context, else for `contextTokens`. @throws InputError */
export function resolveCuts(options: SubjectOptions, subject: Subject, contextTokens: number): readonly ResolvedCut[] {
  return requestedCuts(options, [DEFAULT_CUT]).map((request) => cutAt(options, subject, contextTokens, request));
}

/** As `resolveCuts`, where one cut is wanted. @throws InputError when several are asked for */
export function resolveOneCut(options: SubjectOptions, subject: Subject, contextTokens: number): ResolvedCut {
  return cutAt(options, subject, contextTokens, requestedCut(options, DEFAULT_CUT));
}

function cutAt(options: SubjectOptions, { model, pattern, window }: Subject, contextTokens: number, request: CutRequest): ResolvedCut {
  const { headDim, windows: layerWindows } = model.config;
  return resolveCut(pattern, request, { contextTokens: options.context ?? contextTokens, headDim, window, layerWindows });
}

/** Prefill and decoding rule: `--reference` takes the reference's for both, but for a prefill that was named. */
export function resolveRules(options: RuleOptions): { readonly prefill: Prefill; readonly decodeWindow: WindowRule } {
  const reference = options.reference === true;
  const usual: Prefill = reference ? { mode: 'chunked', chunkTokens: REFERENCE_CHUNK } : { mode: 'streaming' };
  return { prefill: options.prefill ?? usual, decodeWindow: reference ? 'reference' : 'exact' };
}

/** What --print-config shows of what the flags leave open: the pattern's window, the rules, the usual cut. */
export function resolvedSettings(options: SubjectOptions & RuleOptions): Readonly<Record<string, unknown>> {
  const silent = (): void => undefined;
  const deployed = options.pattern === undefined ? undefined : readPattern(options.pattern, { ...options, warn: silent }).windows.deployed;

  const [cut] = requestedCuts(options, [DEFAULT_CUT]);
  return {
    ...(deployed === undefined ? {} : { sink: options.sink ?? deployed.sink, recent: options.recent ?? deployed.recent }),
    prefill: prefillText(resolveRules(options).prefill),
    ...(cut === DEFAULT_CUT ? { retrievalRatio: [DEFAULT_CUT.value] } : {}),
  };
}

function requirePattern(path: string | undefined): string {
  if (path !== undefined) return path;
  throw new InputError({
    code: 'pattern_option',
    what: 'no pattern was given',
    expected: '--pattern DIR: a pattern directory, or a full_attention_heads.tsv',
    hint: 'duo calibrate --output my-pattern makes one for the model',
  });
}
