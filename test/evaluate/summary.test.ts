import { checkGate, heatMapOf, scoreOf, summarize } from '../../src/evaluate/summary.js';
import type { EvaluationRow } from '../../src/evaluate/row.js';

type Given = Pick<EvaluationRow, 'title' | 'kind'> & { strict: number; substring?: number | null } & Partial<EvaluationRow>;

function row({ strict, substring = null, ...given }: Given): EvaluationRow {
  const recipe = {} as EvaluationRow['recipe'];
  const numbers = { placed: [], index: 0, seed: 1, promptTokens: 1, answerTokens: 1, prefillMs: 1, answerMs: 1 };
  const names = { key: '', patternHash: '', modelHash: '', maskHash: '', answers: [], expected: [], recipe };
  const how = { sink: 16, recent: 64, prefill: 'streaming', decodeWindow: 'exact', scoring: 'greedy', endedBy: 'length' } as const;
  const scores = { strict, substring, words: null };
  const what = {
    suite: 'niah',
    contextTokens: 1024,
    depth: 0.5,
    variant: given.title,
    retrievalRatio: 0.5,
    sparsity: 0.5,
    cacheBytes: 100,
  };
  return { ...numbers, ...names, ...how, ...what, scores, ...given };
}

const dense = (strict: number, rest: Partial<EvaluationRow> = {}): EvaluationRow =>
  row({ title: 'dense', kind: 'dense', strict, cacheBytes: 400, ...rest });
const pattern = (strict: number, rest: Partial<EvaluationRow> = {}): EvaluationRow =>
  row({ title: 'pattern 50 %', kind: 'pattern', strict, ...rest });
const random = (mask: number, strict: number): EvaluationRow =>
  row({ title: 'random 50 %', kind: 'random', strict, variant: `random 50 % #${mask}` });

test('rows are summed up per suite, length and title, with the dense model beside them', () => {
  const [first, second] = summarize([dense(1), dense(0.5), pattern(1), pattern(0)]);
  expect(first).toMatchObject({ title: 'dense', samples: 2, strict: 0.75, ofDense: 1, cacheShare: 1 });
  expect(second).toMatchObject({ title: 'pattern 50 %', samples: 2, strict: 0.5, ofDense: 0.5 / 0.75, cacheShare: 0.25 });
});

test('random masks are one row, with the best mask apart', () => {
  const [sum] = summarize([random(1, 1), random(1, 0), random(2, 0), random(2, 0)]);
  expect(sum).toMatchObject({ masks: 2, samples: 4, strict: 0.25, bestMask: 0.5, ofDense: null, cacheShare: null });
});

test('a score the answers do not have stays unknown', () => {
  expect(summarize([pattern(1)])[0]).toMatchObject({ substring: null, words: null });
  expect(scoreOf(pattern(1), 'substring')).toBe(1);
  expect(scoreOf(row({ title: 'dense', kind: 'dense', strict: 0, substring: 1 }), 'substring')).toBe(1);
});

test('the gate compares every pattern with the dense model over all lengths', () => {
  const long = { contextTokens: 2048 };
  const rows = [
    dense(1),
    dense(1, long),
    pattern(1),
    pattern(0, long),
    dense(1, { suite: 'passkey' }),
    pattern(1, { suite: 'passkey' }),
    random(1, 0),
  ];
  expect(checkGate(rows, 'strict', 0.95)).toEqual([
    { suite: 'niah', title: 'pattern 50 %', ofDense: 0.5, passed: false },
    { suite: 'passkey', title: 'pattern 50 %', ofDense: 1, passed: true },
  ]);
  expect(checkGate(rows, 'strict', 0.5).every(({ passed }) => passed)).toBe(true);
});

test('no pattern passes where the dense model scores 0', () => {
  expect(checkGate([dense(0), pattern(0)], 'strict', 0)).toEqual([{ suite: 'niah', title: 'pattern 50 %', ofDense: null, passed: false }]);
});

test('the heat map has ascending axes and leaves out suites without a depth', () => {
  const options = { scorer: 'strict', lengths: [2048, 1024], depths: [1, 0.5], titles: ['dense'], title: 'x', caption: [] } as const;
  const map = heatMapOf([dense(1), dense(0, { suite: 'passkey', depth: null }), dense(0, { suite: 'other' })], 'niah', options);
  expect(map).toMatchObject({ lengths: [1024, 2048], depths: [0.5, 1] });
  expect(map.panels[0]?.cells).toEqual([
    [{ score: 1, samples: 1 }, undefined],
    [undefined, undefined],
  ]);
});
