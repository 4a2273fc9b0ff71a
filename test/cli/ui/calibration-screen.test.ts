import { PassThrough } from 'node:stream';
import { stripVTControlCharacters } from 'node:util';
import { initialState } from '../../../src/calibrate/loop.js';
import { resolveSettings } from '../../../src/calibrate/settings.js';
import { openScreen, sparkline } from '../../../src/cli/ui/calibration-screen.js';

const settings = resolveSettings({ steps: 20 }, { id: 'tiny', maxPositions: 4096 }, () => undefined);

/** A terminal of `columns` columns that remembers what was written. */
function fakeTerminal(columns: number): { stream: NodeJS.WriteStream; text: () => string } {
  const stream = Object.assign(new PassThrough(), { columns, rows: 40, isTTY: true });
  let written = '';
  stream.on('data', (chunk: Buffer) => (written += chunk.toString()));
  return { stream: stream as unknown as NodeJS.WriteStream, text: () => stripVTControlCharacters(written) };
}

describe('the live screen', () => {
  test('shows where the calibration is, its losses, its gates and the held-out check, within the columns', async () => {
    const { stream, text } = fakeTerminal(80);
    const view = openScreen(stream, { settings, seeds: [1], color: false });
    view.hooks.onSeed?.(1, initialState(2, 4));
    view.hooks.onValidation?.(1, { step: 20, loss: 0.0345, passkeyAccuracy: 0.975 });
    const row = {
      step: 20,
      contextTokens: 512,
      labelledTokens: 150,
      distill: 0.00123,
      regularization: 0.0251,
      learningRate: 0.002,
      meanGate: 0.5,
      settledShare: 0.25,
    };
    view.hooks.onStep?.(1, row, [Float32Array.of(0.01, 0.99, 0.5, 0.2), Float32Array.of(1, 0, 0.7, 0.4)]);
    view.end();
    await new Promise((resolve) => setTimeout(resolve, 50));
    for (const part of [
      'step 20 of 20',
      'distill 0.00123',
      'mean 0.500',
      'settled 25.0 %',
      '512 tokens, 150 labelled',
      'loss 0.0345',
      '97.5 %',
      'Ctrl-C',
    ])
      expect(text()).toContain(part);
    expect(
      Math.max(
        ...text()
          .split(/\r?\n/)
          .map((line) => line.length),
      ),
    ).toBeLessThanOrEqual(80);
  });
});

describe('sparkline', () => {
  test.each([
    [[1, 2, 3], '▁▅█'],
    [[5, 5], '▁▁'],
    [[], ''],
  ])('of %j is %j', (values, expected) => {
    expect(sparkline(values)).toBe(expected);
  });
});
