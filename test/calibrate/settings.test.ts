import { hasStalled } from '../../src/calibrate/loop.js';
import { resolveSettings, sampleLengths } from '../../src/calibrate/settings.js';
import type { Warning } from '../../src/errors.js';

const model = { id: 'some-model', maxPositions: 131_072 };
const silent = (): void => undefined;

describe('resolveSettings', () => {
  test('quick sets sizes only', () => {
    expect(resolveSettings({}, model, silent)).toMatchObject({ steps: 40, minTokens: 512, maxTokens: 512, passkeys: 5, passkeyWords: 8 });
    expect(resolveSettings({}, model, silent)).toMatchObject({
      window: { sink: 64, recent: 256, block: 1 },
      fullBranch: 'own',
      labels: 'block',
    });
  });

  test('paper draws from fifty lengths between 1,000 and 32,000 tokens', () => {
    const lengths = sampleLengths(resolveSettings({ preset: 'paper' }, model, silent));
    expect(lengths).toHaveLength(50);
    expect([lengths[0], lengths[1], lengths[2], lengths[48], lengths[49]]).toEqual([1000, 1632, 2265, 31367, 32000]);
  });

  test('only the reference changes the mathematics', () => {
    expect(resolveSettings({ reference: true }, model, silent)).toMatchObject({
      window: { sink: 128, recent: 256, block: 128 },
      fullBranch: 'teacher',
      tasks: 'reference',
      earlyStop: 0,
      steps: 40,
    });
  });

  test('the embedded model has a window of its own', () => {
    expect(resolveSettings({}, { id: 'duo-mini', maxPositions: 8192 }, silent).window).toEqual({ sink: 16, recent: 64, block: 1 });
  });

  test('what the user gives wins over preset, model and reference', () => {
    const given = { preset: 'paper', reference: true, steps: 7, sink: 3, fullBranch: 'own', windowBlock: 1 } as const;
    expect(resolveSettings(given, { id: 'duo-mini', maxPositions: 131_072 }, silent)).toMatchObject({
      steps: 7,
      window: { sink: 3, recent: 256, block: 1 },
      fullBranch: 'own',
    });
  });

  test('lengths are cut to the positions of the model, with a notice', () => {
    const warnings: Warning[] = [];
    const settings = resolveSettings({ preset: 'paper' }, { id: 'small', maxPositions: 2048 }, (warning) => warnings.push(warning));
    expect(settings).toMatchObject({ minTokens: 1000, maxTokens: 2048 });
    expect(warnings.map(({ code }) => code)).toEqual(['calibration_cut']);
  });

  test.each([
    [{ recent: 32 }, [32, null, 33, 16], 2],
    [{ recent: 32, windowBlock: 16 }, [17, null, 18, 32], 1],
    [{ recent: 15, sink: 64 }, [16, null, 64, 100], 0],
  ])('layers in which every head sees the same are counted: with %j in layers of %j', (given, windows, same) => {
    const warnings: Warning[] = [];
    resolveSettings(given, { ...model, windows }, (warning) => warnings.push(warning));
    expect(warnings.map(({ code, message }) => `${code}: ${message}`)).toEqual(
      same === 0 ? [] : [expect.stringContaining(`window_layers: in ${same} of 4 layers`)],
    );
  });

  test('a longest sample alone moves the shortest out of its way', () => {
    expect(resolveSettings({ maxTokens: 256 }, model, silent)).toMatchObject({ minTokens: 256, maxTokens: 256, lengthCount: 1 });
    expect(resolveSettings({ maxTokens: 1024 }, model, silent)).toMatchObject({ minTokens: 512, maxTokens: 1024, lengthCount: 2 });
  });

  test('bounds the wrong way round are refused', () => {
    expect(() => resolveSettings({ minTokens: 900, maxTokens: 800 }, model, silent)).toThrow('longer than the longest');
  });
});

describe('hasStalled', () => {
  const losses = (...values: number[]): { loss: number }[] => values.map((loss) => ({ loss }));
  test('is true after as many checks as its patience without a 1 % gain', () => {
    expect(hasStalled(losses(1, 0.999, 0.995, 1.2), 3)).toBe(true);
    expect(hasStalled(losses(1, 0.999, 0.98, 1.2), 3)).toBe(false);
    expect(hasStalled(losses(1, 1, 1), 3)).toBe(false);
  });
});
