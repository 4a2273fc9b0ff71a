import { InputError } from '../../src/errors.js';
import type { Warning } from '../../src/errors.js';
import { checkPattern, checkShape } from '../../src/pattern/check.js';
import { parsePattern } from '../../src/pattern/schema.js';
import { calibratedPattern } from '../helpers/patterns.js';

const pattern = parsePattern(calibratedPattern(2, 4), 'test');
const model = { id: 'tiny', hash: 'a'.repeat(64), layers: 2, kvHeads: 4 };
const window = { sink: 16, recent: 64 };

function warningsOf(change: Partial<typeof model> = {}, run: Partial<typeof window> = {}): readonly Pick<Warning, 'code' | 'hint'>[] {
  const warnings: Warning[] = [];
  checkPattern(pattern, { ...model, ...change }, { ...window, ...run }, (warning) => warnings.push(warning));
  return warnings.map(({ code, hint }) => ({ code, ...(hint === undefined ? {} : { hint }) }));
}

test('the model and windows a pattern was made for pass in silence', () => {
  expect(warningsOf()).toEqual([]);
});

test('other weights and other windows are warned of', () => {
  expect(warningsOf({ hash: 'c'.repeat(64) })).toEqual([expect.objectContaining({ code: 'pattern_model' })]);
  expect(warningsOf({}, { recent: 63 })).toEqual([{ code: 'pattern_windows', hint: '--sink 16 --recent 64' }]);
});

test.each([
  [{ layers: 3 }, 'the pattern has 2 rows, the model has 3 layers'],
  [{ layers: 1 }, 'the pattern has 2 rows, the model has 1 layer'],
  [{ kvHeads: 8 }, 'the pattern has 4 columns, the model has 8 KV heads'],
  [{ layers: 4, kvHeads: 2 }, 'the pattern has 2 rows and 4 columns, the model has 4 layers and 2 KV heads'],
])('a model of %j is refused', (change, message) => {
  expect(() => warningsOf(change)).toThrow(InputError);
  expect(() => warningsOf(change)).toThrow(message);
});

test('a transposed matrix is called that', () => {
  try {
    checkShape(pattern, { layers: 4, kvHeads: 2 });
    throw new Error('not refused');
  } catch (error) {
    expect(error).toMatchObject({ facts: { hint: expect.stringContaining('transposed') } });
  }
});
