/** The grid on the embedded model, with the gates of its card, at lengths short enough for a test. */
import { openHaystack } from '../../src/data/haystack.js';
import { rebuild } from '../../src/data/rebuild.js';
import type { Needle } from '../../src/data/needle.js';
import { loadTask } from '../../src/data/task.js';
import { InputError, InterruptedError } from '../../src/errors.js';
import { cellsOf, checkGrid, rowKey, runGrid } from '../../src/evaluate/grid.js';
import type { Grid } from '../../src/evaluate/grid.js';
import { bytesOf } from '../../src/evaluate/estimate.js';
import { rowSchema } from '../../src/evaluate/row.js';
import type { EvaluationRow } from '../../src/evaluate/row.js';
import { makeVariants } from '../../src/evaluate/variants.js';
import { loadModel } from '../../src/model/load.js';
import type { Model } from '../../src/model/model.js';
import { toMask } from '../../src/pattern/mask.js';
import { openRun } from '../../src/report/run-directory.js';
import type { RunDirectory } from '../../src/report/run-directory.js';
import { CARD_GATES } from '../helpers/card-pattern.js';
import { anyDevice } from '../helpers/each-device.js';
import { DUO_MINI } from '../helpers/paths.js';
import { temporaryFolder } from '../helpers/temporary.js';

const root = temporaryFolder();
let model: Model;

beforeAll(async () => {
  model = await loadModel(DUO_MINI, anyDevice());
});

function gridOf(changes: Partial<Grid> = {}): Grid {
  const mask = toMask({ gates: CARD_GATES }, { by: 'retrievalRatio', value: 0.5 });
  return {
    suites: [loadTask('niah')],
    lengths: [256],
    depths: [0, 1],
    samples: 1,
    seed: 3,
    haystack: openHaystack('essay'),
    chat: false,
    window: { sink: 16, recent: 64 },
    prefill: { mode: 'streaming' },
    decodeWindow: 'exact',
    variants: makeVariants(model.config, { masks: [mask], baselines: ['dense', 'streaming'], randomMasks: 1, seed: 1 }),
    patternHash: 'abc',
    ...changes,
  };
}

function newRun(name: string): RunDirectory<EvaluationRow> {
  return openRun({ verb: 'evaluate', config: { name }, rowSchema, root });
}

const silent = { onProgress: () => undefined, signal: new AbortController().signal };

async function rowsOf(name: string, grid: Grid): Promise<EvaluationRow[]> {
  const run = newRun(name);
  await runGrid(model, grid, run, silent);
  return [...run.rows.values()];
}

const strictBy = (rows: readonly EvaluationRow[], kind: string): number[] =>
  rows.filter((row) => row.kind === kind).map((row) => row.scores.strict);

test('the needle of a short context is found densely and by the pattern, and not by streaming heads alone at depth 0', async () => {
  const grid = gridOf();
  const rows = await rowsOf('needle', grid);
  expect(rows.map((row) => row.key)).toEqual(cellsOf(grid).flatMap((cell) => grid.variants.map((variant) => rowKey(cell, variant))));
  expect(strictBy(rows, 'dense')).toEqual([1, 1]);
  expect(strictBy(rows, 'pattern')).toEqual([1, 1]);
  expect(strictBy(rows, 'streaming')[0]).toBe(0);
});

test('every row measures the bytes of the formula, and its recipe gives the prompt back', async () => {
  const grid = gridOf();
  for (const row of await rowsOf('bytes', grid)) {
    const mask = grid.variants.find(({ name }) => name === row.variant)?.mask ?? [];
    expect(row.cacheBytes).toBe(bytesOf(model.config, mask, grid.window, 256));
    const needle = rebuild(row.recipe, model.tokenizer) as Needle;
    expect(needle.ids.length).toBe(row.promptTokens);
    expect([needle.answer]).toEqual(row.expected);
  }
});

test('passkeys are scored by the word, and the sample by all of its words', async () => {
  const [dense, hybrid, streaming] = await rowsOf('passkey', gridOf({ suites: [loadTask('passkey')], lengths: [1024] }));
  for (const row of [dense, hybrid])
    expect(row).toMatchObject({ scoring: 'teacher-forced', scores: { strict: 1, words: 1, substring: null }, depth: null });
  expect(streaming?.scores.strict).toBe(0);
  expect(streaming?.scores.words).toBeLessThan(0.3);
  expect(streaming?.expected[0]?.split(' ')).toHaveLength(8);
});

test.each([
  [{ mode: 'dense' }, 'exact'],
  [{ mode: 'chunked', chunkTokens: 64 }, 'reference'],
] as const)('a %j prefill with the %s decode window finds the needle, too', async (prefill, decodeWindow) => {
  const rows = await rowsOf(prefill.mode, gridOf({ prefill, decodeWindow }));
  expect(strictBy(rows, 'pattern')).toEqual([1, 1]);
  expect(rows[0]).toMatchObject({ prefill: prefill.mode === 'chunked' ? 'chunked:64' : 'dense', decodeWindow });
});

test('a run that was stopped goes on with what is missing, and nothing is made twice', async () => {
  const grid = gridOf({ lengths: [128] });
  const stop = new AbortController();
  const first = newRun('stopped');
  const onProgress = (): void => (first.rows.size === 2 ? stop.abort() : undefined);
  await expect(runGrid(model, grid, first, { onProgress, signal: stop.signal })).rejects.toThrow(InterruptedError);
  expect(first.rows.size).toBe(2);
  const again = newRun('stopped');
  const written: number[] = [];
  await runGrid(model, grid, again, { ...silent, onProgress: ({ done }) => written.push(done) });
  expect(again.rows.size).toBe(6);
  expect(written).toEqual([1, 2, 3, 4].map((rows) => rows * 128));
});

test('equal seeds give equal answers, other seeds other prompts', async () => {
  const answers = async (name: string, seed: number): Promise<unknown[]> =>
    (await rowsOf(name, gridOf({ lengths: [128], depths: [0.5], seed }))).map(({ answers: said, expected }) => ({ said, expected }));
  expect(await answers('seed a', 5)).toEqual(await answers('seed b', 5));
  expect(await answers('seed c', 6)).not.toEqual(await answers('seed a', 5));
});

test('lengths the model cannot read, or that hold no needle, are refused before anything runs', () => {
  expect(() => checkGrid(model, gridOf({ lengths: [1024, 16_384] }))).toThrow(InputError);
  expect(() => checkGrid(model, gridOf({ lengths: [40] }))).toThrow(InputError);
});
