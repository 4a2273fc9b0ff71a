/** The grid: suites x lengths x depths x samples, each answered by every variant, one row at a time, resumable at any row. */
import type { WindowRule } from '../cache/hybrid-cache.js';
import type { CacheWindow } from '../cache/window-rows.js';
import type { Prefill } from '../config/values.js';
import type { Haystack } from '../data/haystack.js';
import { makeNeedle } from '../data/needle.js';
import type { Needle } from '../data/needle.js';
import { hasDepth } from '../data/task.js';
import type { Task } from '../data/task.js';
import { InputError, InterruptedError } from '../errors.js';
import type { Model } from '../model/model.js';
import type { OnProgress } from '../progress.js';
import type { RunDirectory } from '../report/run-directory.js';
import { answer } from './answer.js';
import type { Answered } from './answer.js';
import { Prompt } from './prompt.js';
import { prefillText } from './row.js';
import type { EvaluationRow } from './row.js';
import type { Variant } from './variants.js';

/** Room for an answer beyond the value itself: a full stop, an end token, a few words around it. */
export const ANSWER_ROOM_TOKENS = 8;

export interface Grid {
  readonly suites: readonly Task[];
  readonly lengths: readonly number[];
  readonly depths: readonly number[];
  readonly samples: number;
  readonly seed: number;
  readonly haystack: Haystack;
  readonly chat: boolean;
  readonly window: CacheWindow;
  readonly prefill: Prefill;
  readonly decodeWindow: WindowRule;
  readonly variants: readonly Variant[];
  readonly patternHash: string;
}

/** One prompt of the grid. */
export interface Cell {
  readonly suite: Task;
  readonly contextTokens: number;
  readonly depth: number | null;
  readonly index: number;
}

export interface GridHooks {
  readonly onProgress: OnProgress;
  readonly signal: AbortSignal;
}

/** All prompts in the order they are run: whole samples first, so that a run cut short has every cell of the first ones. */
export function cellsOf(grid: Pick<Grid, 'suites' | 'lengths' | 'depths' | 'samples'>): readonly Cell[] {
  const indices = Array.from({ length: grid.samples }, (_, index) => index);
  return grid.suites.flatMap((suite) => {
    const depths = hasDepth(suite) ? grid.depths : [null];
    return indices.flatMap((index) =>
      grid.lengths.flatMap((contextTokens) => depths.map((depth) => ({ suite, contextTokens, depth, index }))),
    );
  });
}

export function rowKey(cell: Cell, variant: Pick<Variant, 'name'>): string {
  return [cell.suite.name, cell.contextTokens, cell.depth ?? '-', cell.index, variant.name].join('|');
}

/** @throws InputError when a length is beyond what the model was made for, or too short for a suite's facts. */
export function checkGrid(model: Model, grid: Grid): void {
  const names = grid.suites.map(({ name }) => name);
  if (new Set(names).size < names.length) {
    throw new InputError({
      code: 'suites_alike',
      what: 'two suites have the same name',
      given: names.join(', '),
      hint: 'another name: in one of the files',
    });
  }
  const longest = Math.max(...grid.lengths);
  if (longest > model.config.maxPositions) {
    throw new InputError({
      code: 'length_beyond_model',
      what: 'a context length is beyond the positions the model was made for',
      given: `${longest} tokens`,
      expected: `at most ${model.config.maxPositions} for ${model.id}`,
      hint: 'shorter --lengths',
    });
  }
  const shortest = Math.min(...grid.lengths);
  for (const suite of grid.suites)
    makeCell(model, grid, { suite, contextTokens: shortest, depth: hasDepth(suite) ? (grid.depths[0] ?? 0) : null, index: 0 });
}

/** Runs what `run` does not hold yet. @throws InterruptedError when the signal is aborted; the rows done stay. */
export async function runGrid(model: Model, grid: Grid, run: RunDirectory<EvaluationRow>, hooks: GridHooks): Promise<void> {
  const todo = cellsOf(grid)
    .map((cell) => ({ cell, variants: grid.variants.filter((variant) => !run.rows.has(rowKey(cell, variant))) }))
    .filter(({ variants }) => variants.length > 0);
  const total = todo.reduce((sum, { cell, variants }) => sum + cell.contextTokens * variants.length, 0);
  let done = 0;
  for (const { cell, variants } of todo) {
    for await (const row of cellRows(model, grid, cell, variants, () => stopIfAborted(hooks.signal, run))) {
      run.append(row);
      done += cell.contextTokens;
      hooks.onProgress({ stage: 'tokens evaluated', done, total, note: `${row.suite}, ${cellText(cell)}, ${row.variant}` });
    }
  }
}

async function* cellRows(
  model: Model,
  grid: Grid,
  cell: Cell,
  variants: readonly Variant[],
  onChunk: () => void,
): AsyncGenerator<EvaluationRow> {
  onChunk();
  const needle = makeCell(model, grid, cell);
  const { contextTokens } = cell;
  const prompt = new Prompt(model, needle.ids, { prefill: grid.prefill, contextTokens, onChunk });
  try {
    for (const variant of variants) {
      const options = { mask: variant.mask, window: grid.window, contextTokens, decodeWindow: grid.decodeWindow, onChunk };
      // The token generated last is not fed, so it needs no room.
      const answered = await answer(model, needle, prompt, { ...options, maxNewTokens: contextTokens - needle.ids.length + 1 });
      yield rowOf(model, grid, cell, variant, needle, answered);
    }
  } finally {
    prompt.free();
  }
}

/** Prompt and answer have the cell's length; where the answer is generated, some of it is left free for what the model says around it. */
function makeCell(model: Model, grid: Grid, cell: Cell): Needle {
  const contextTokens = cell.contextTokens - (cell.depth === null ? 0 : ANSWER_ROOM_TOKENS);
  const depth = cell.depth ?? undefined;
  return makeNeedle(
    cell.suite,
    { contextTokens, depth, seed: grid.seed, index: cell.index, chat: grid.chat },
    model.tokenizer,
    grid.haystack,
  );
}

function rowOf(model: Model, grid: Grid, cell: Cell, variant: Variant, needle: Needle, answered: Answered): EvaluationRow {
  const { name, title, kind, retrievalRatio, maskHash } = variant;
  const what = {
    suite: cell.suite.name,
    contextTokens: cell.contextTokens,
    depth: cell.depth,
    placed: [...needle.depths],
    index: cell.index,
  };
  const who = { variant: name, title, kind, retrievalRatio, sparsity: 1 - retrievalRatio, maskHash };
  const how = { ...grid.window, prefill: prefillText(grid.prefill), decodeWindow: grid.decodeWindow, seed: grid.seed };
  const hashes = { patternHash: grid.patternHash, modelHash: model.hash };
  return { key: rowKey(cell, variant), ...what, ...who, ...hashes, ...how, ...answered, recipe: needle.recipe };
}

function cellText({ contextTokens, depth }: Cell): string {
  return `${contextTokens.toLocaleString('en-US')} tokens${depth === null ? '' : ` at depth ${depth}`}`;
}

function stopIfAborted(signal: AbortSignal, run: RunDirectory<EvaluationRow>): void {
  if (!signal.aborted) return;
  throw new InterruptedError({
    code: 'interrupted',
    what: `stopped; ${run.rows.size} rows are kept`,
    given: run.path,
    hint: 'the same command again, without --fresh, goes on from there',
  });
}
