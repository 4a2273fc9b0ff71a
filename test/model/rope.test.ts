import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseConfig } from '../../src/model/read-config.js';
import { inverseFrequencies } from '../../src/model/rope.js';
import { TINY_CONFIG } from '../helpers/checkpoints.js';
import { GOLDEN } from '../helpers/paths.js';

interface YarnCase {
  readonly rope_parameters: Readonly<Record<string, unknown>>;
  readonly head_dim: number;
  readonly attention_factor: number;
  readonly frequencies: readonly number[];
}

const CASES = JSON.parse(readFileSync(join(GOLDEN, 'yarn.json'), 'utf8')) as YarnCase[];
/** Two roundings of float32: powers differ in the last bit between mathematics libraries. */
const ROUNDING = 2 ** -22;

const { rope_theta: _theta, ...base } = TINY_CONFIG;

describe('inverseFrequencies', () => {
  test.each(CASES)(
    'are those of transformers under YaRN: $rope_parameters',
    ({ rope_parameters, head_dim, attention_factor, frequencies }) => {
      const { config } = parseConfig({ ...base, head_dim, rope_parameters }, 'test');
      expect(config.ropeScaling).toMatchObject({ type: 'yarn', attentionFactor: attention_factor });
      const off = [...inverseFrequencies(config)].map((value, i) => Math.abs(value / (frequencies[i] ?? NaN) - 1));
      expect(off).toHaveLength(head_dim / 2);
      expect(Math.max(...off)).toBeLessThanOrEqual(ROUNDING);
    },
  );

  test('take the positions before scaling from beside the rope parameters, in them, or from the model’s', () => {
    const positions = (more: object, inside: object): unknown =>
      parseConfig({ ...base, ...more, rope_parameters: { rope_type: 'yarn', factor: 4, ...inside } }, 'test').config.ropeScaling;
    expect(positions({ original_max_position_embeddings: 16 }, { original_max_position_embeddings: 32 })).toMatchObject({
      originalPositions: 16,
    });
    expect(positions({}, { original_max_position_embeddings: 32 })).toMatchObject({ originalPositions: 32 });
    expect(positions({}, {})).toMatchObject({ originalPositions: 64 });
  });

  test('are divided one by one where a file gives the divisors', () => {
    const plain = parseConfig(TINY_CONFIG, 'test').config;
    const divided = inverseFrequencies({ ...plain, ropeScaling: { type: 'divided', divisors: [1, 8] } });
    const [first, second] = inverseFrequencies(plain);
    expect([...divided]).toEqual([first, Math.fround((second ?? NaN) / 8)]);
  });
});
