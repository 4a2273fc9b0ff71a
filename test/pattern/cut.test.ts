import { InputError } from '../../src/errors.js';
import { requestedCut, requestedCuts, requestText, resolveCut } from '../../src/pattern/cut.js';
import type { CutContext, CutRequest } from '../../src/pattern/cut.js';
import { cacheBytes, maskBytes } from '../../src/pattern/cache-bytes.js';

const pattern = {
  gates: [
    [0.1, 0.9],
    [0.4, 0.6],
  ],
  model: { id: 'tiny', layers: 2, kvHeads: 2, headDim: 8, maxPositions: 1000 },
  windows: { deployed: { sink: 4, recent: 16, block: 1 } },
};

test('the formula counts keys and values of whole contexts and of windows', () => {
  const shape = { headDim: 64, bytesPerElement: 2, contextTokens: 1000, sink: 16, recent: 64 };
  expect(cacheBytes(shape, 3, 5)).toBe(2 * 2 * 64 * (3 * 1000 + 5 * 80));
  expect(cacheBytes({ ...shape, contextTokens: 50 }, 3, 5)).toBe(2 * 2 * 64 * 8 * 50);
});

test("the model's own windows bound what heads of their layers keep, where they are shorter than the context", () => {
  const shape = { headDim: 64, bytesPerElement: 2, contextTokens: 1000, sink: 16, recent: 64 };
  const perRow = 2 * 2 * 64;
  const mask = Array.from({ length: 5 }, () => [true, false]);
  expect(maskBytes(shape, mask)).toBe(perRow * 5 * (1000 + 80));
  expect(maskBytes(shape, mask, [null, 1000, 100, 80, 30])).toBe(perRow * (2 * (1000 + 80) + (100 + 80) + (80 + 80) + (30 + 30)));
  expect(maskBytes({ ...shape, contextTokens: 20 }, mask, [null, 1000, 100, 80, 10])).toBe(perRow * (4 * (20 + 20) + (10 + 10)));
});

describe('a resolved cut', () => {
  test('echoes ratio, sparsity, gate and bytes whichever way it was asked for', () => {
    const ways: CutRequest[] = [
      { by: 'retrievalRatio', value: 0.25 },
      { by: 'sparsity', value: 0.75 },
      { by: 'threshold', value: 0.9 },
      { by: 'fullHeads', value: 1 },
      { by: 'kvBudget', value: { kind: 'share', value: 0.3 } },
      { by: 'kvBudget', value: { kind: 'bytes', value: 70_000 } },
    ];
    for (const requested of ways) {
      expect(resolveCut(pattern, requested)).toEqual({
        requested,
        retrievalRatio: 0.25,
        sparsity: 0.75,
        threshold: 0.9,
        fullHeads: 1,
        streamingHeads: 3,
        contextTokens: 1000,
        bytesPerElement: 4,
        cacheBytes: 2 * 4 * 8 * (1000 + 3 * 20),
        denseBytes: 2 * 4 * 8 * 4000,
        cacheShare: 1060 / 4000,
        mask: [
          [false, true],
          [false, false],
        ],
      });
    }
  });

  test('takes context, head size, element size and window of the run when given', () => {
    const cut = resolveCut(
      pattern,
      { by: 'fullHeads', value: 2 },
      { contextTokens: 100, headDim: 4, bytesPerElement: 2, window: { sink: 1, recent: 9 } },
    );
    expect(cut.cacheBytes).toBe(2 * 2 * 4 * (2 * 100 + 2 * 10));
  });

  test("counts bytes with the model's own windows, those of the run before those that the pattern knows", () => {
    const known = { ...pattern, model: { ...pattern.model, layerWindows: [100, null] } };
    expect(resolveCut(known, { by: 'fullHeads', value: 2 })).toMatchObject({
      cacheBytes: 2 * 4 * 8 * (100 + 20 + 1000 + 20),
      denseBytes: 2 * 4 * 8 * (200 + 2000),
    });
    const { cacheBytes } = resolveCut(known, { by: 'fullHeads', value: 2 }, { layerWindows: [null, 10] });
    expect(cacheBytes).toBe(2 * 4 * 8 * (1000 + 20 + 10 + 10));
  });

  test('has no threshold when every head streams, and no bytes when the head size is not known', () => {
    const { headDim: _gone, ...model } = pattern.model;
    expect(resolveCut({ ...pattern, model }, { by: 'fullHeads', value: 0 })).toMatchObject({
      threshold: null,
      cacheBytes: null,
      denseBytes: null,
      cacheShare: 0.02,
    });
  });
});

describe('a budget', () => {
  test.each<[string, CutContext]>([
    ['one context', {}],
    ["layers with the model's own window", { layerWindows: [15, 300] }],
  ])('gives the highest ratio that fits, for every share and every number of bytes: %s', (_title, context) => {
    const fullHeadsWithin = (kind: 'share' | 'bytes', value: number): number =>
      resolveCut(pattern, { by: 'kvBudget', value: { kind, value } }, context).fullHeads;
    const bytes = [0, 1, 2, 3, 4].map((full) => resolveCut(pattern, { by: 'fullHeads', value: full }, context).cacheBytes ?? 0);
    const [least = 0, most = 0] = [bytes[0], bytes[4]];
    const fitting = (limit: number): number => bytes.filter((size) => size <= limit).length - 1;
    for (let percent = Math.ceil((100 * least) / most); percent <= 100; percent++) {
      expect([percent, fullHeadsWithin('share', percent / 100)]).toEqual([percent, fitting((percent / 100) * most + 1e-6)]);
    }
    for (const size of bytes) {
      expect(fullHeadsWithin('bytes', size)).toBe(fitting(size));
      if (size > least) expect(fullHeadsWithin('bytes', size - 1)).toBe(fitting(size - 1));
    }
  });

  test('keeps every head full where the window holds the whole context', () => {
    expect(resolveCut(pattern, { by: 'kvBudget', value: { kind: 'share', value: 1 } }, { contextTokens: 20 }).fullHeads).toBe(4);
  });

  test.each([
    ['is refused when even streaming heads need more', { kind: 'share', value: 0.01 }, {}, 'too small even when every head streams'],
    [
      'in bytes is refused when the head size is not known',
      { kind: 'bytes', value: 1e6 },
      { headDim: undefined },
      "needs the model's head size",
    ],
    ['is refused without a context', { kind: 'share', value: 0.5 }, { maxPositions: undefined }, 'needs the context length'],
  ] as const)('%s', (_title, value, model, message) => {
    const run = (): unknown => resolveCut({ ...pattern, model: { ...pattern.model, ...model } }, { by: 'kvBudget', value });
    expect(run).toThrow(InputError);
    expect(run).toThrow(message);
  });
});

describe('the flags', () => {
  test('a list of ratios asks for one cut each', () => {
    expect(requestedCuts({ retrievalRatio: [0.25, 0.5] })).toEqual([
      { by: 'retrievalRatio', value: 0.25 },
      { by: 'retrievalRatio', value: 0.5 },
    ]);
  });

  test('the fallback stands in when none is given', () => {
    expect(requestedCut({}, { by: 'retrievalRatio', value: 0.5 })).toEqual({ by: 'retrievalRatio', value: 0.5 });
    expect(requestedCut({})).toBeUndefined();
  });

  test('two ways at once are refused, and a list where one cut is wanted', () => {
    expect(() => requestedCuts({ sparsity: [0.5], threshold: 0.5 })).toThrow('more than one way');
    expect(() => requestedCut({ sparsity: [0.5, 0.6] })).toThrow('one is needed');
  });

  test.each([
    [{ by: 'retrievalRatio', value: 0.5 }, '--retrieval-ratio 0.5'],
    [{ by: 'sparsity', value: 0.5 }, '--sparsity 0.5'],
    [{ by: 'threshold', value: 0.5 }, '--threshold 0.5'],
    [{ by: 'kvBudget', value: { kind: 'share', value: 0.55 } }, '--kv-budget 55%'],
    [{ by: 'kvBudget', value: { kind: 'bytes', value: 1024 } }, '--kv-budget 1024'],
  ] as const)('%j is written %s', (request, text) => {
    expect(requestText(request)).toBe(text);
  });
});
