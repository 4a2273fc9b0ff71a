/** The rotary embedding that a GGUF file asks for: metadata under `<architecture>.rope.` and, for Llama 3, a tensor of divisors. */
import type { ModelConfig, RopeScaling } from '../config.js';
import { decimal, integer, text } from './rules.js';
import type { GgufKeys } from './rules.js';
import type { GgufFile } from './read.js';
import { DEFAULT_ROPE_THETA, MAX_POSITIONS } from '../limits.js';
import { showText } from '../show-name.js';
import { readTensor } from '../weight-file.js';

const DIVISORS = 'rope_freqs.weight';
/** Another scaling, which depends on the length of the text: not computed here. */
const LONG_ROPE = ['rope_factors_long.weight', 'rope_factors_short.weight'];

type Scale = (keys: GgufKeys, prefix: string, maxPositions: number) => RopeScaling;

/** One row per `rope.scaling.type`. */
const SCALINGS: Readonly<Record<string, Scale>> = {
  none: () => ({ type: 'default' }),
  linear: (keys, prefix) => ({ type: 'linear', factor: keys.required(`${prefix}.factor`, decimal(0)) }),
  yarn: (keys, prefix, maxPositions) => {
    const factor = keys.required(`${prefix}.factor`, decimal(0));
    const given = (name: string): number | undefined => keys.optional(`${prefix}.${name}`, decimal(0));
    const attention = (given('yarn_attn_factor') ?? 1) * (given('attn_factor') ?? 1);
    return {
      type: 'yarn',
      factor,
      betaFast: given('yarn_beta_fast') ?? 32,
      betaSlow: given('yarn_beta_slow') ?? 1,
      originalPositions: keys.optional(`${prefix}.original_context_length`, integer(1, MAX_POSITIONS)) ?? maxPositions,
      truncate: true,
      // llama.cpp multiplies them (rope_yarn, ggml/src/ggml-cpu/ops.cpp).
      attentionFactor: attention * (factor <= 1 ? 1 : 0.1 * Math.log(factor) + 1),
    };
  },
};

/** Theta and scaling. @throws InputError for partial rotation and for scalings that are not computed here */
export function readGgufRope(
  file: GgufFile,
  keys: GgufKeys,
  architecture: string,
  { headDim, maxPositions }: Pick<ModelConfig, 'headDim' | 'maxPositions'>,
): Pick<ModelConfig, 'ropeTheta' | 'ropeScaling'> {
  const prefix = `${architecture}.rope`;
  const rotated = keys.optional(`${prefix}.dimension_count`, integer(1, MAX_POSITIONS)) ?? headDim;
  if (rotated !== headDim)
    throw keys.fail(
      `key ${prefix}.dimension_count is ${rotated}: rotating a part of a head is not supported`,
      `the whole head, ${headDim}`,
    );
  return {
    ropeTheta: keys.optional(`${prefix}.freq_base`, decimal(1)) ?? DEFAULT_ROPE_THETA,
    ropeScaling: readScaling(file, keys, `${prefix}.scaling`, headDim, maxPositions),
  };
}

function readScaling(file: GgufFile, keys: GgufKeys, prefix: string, headDim: number, maxPositions: number): RopeScaling {
  const long = LONG_ROPE.find((name) => file.tensors.has(name));
  if (long !== undefined) throw keys.fail(`tensor ${long}: rope scaling "longrope" is not supported`, supported());
  // Older files name no type beside their factor.
  const type = keys.optional(`${prefix}.type`, text) ?? (file.metadata.has(`${prefix}.factor`) ? 'linear' : 'none');
  const scale = Object.hasOwn(SCALINGS, type) ? SCALINGS[type] : undefined;
  if (scale === undefined) throw keys.fail(`key ${prefix}.type: rope scaling ${showText(type)} is not supported`, supported());
  if (type !== 'yarn' && (keys.optional(`${prefix}.attn_factor`, decimal(0)) ?? 1) !== 1)
    throw keys.fail(`key ${prefix}.attn_factor is only supported for rope scaling "yarn"`, 'absent, or 1');
  if (!file.tensors.has(DIVISORS)) return scale(keys, prefix, maxPositions);
  if (type !== 'none') throw keys.fail(`tensor ${DIVISORS} and rope scaling "${type}" together are not supported`, 'one of the two');
  return { type: 'divided', divisors: readDivisors(file, keys, headDim / 2) };
}

const supported = (): string => `one of: ${Object.keys(SCALINGS).join(', ')}, or a tensor ${DIVISORS}`;

/** One divisor per frequency. */
function readDivisors(file: GgufFile, keys: GgufKeys, count: number): readonly number[] {
  const tensor = file.tensors.get(DIVISORS);
  if (tensor?.shape.length !== 1 || tensor.shape[0] !== count)
    throw keys.fail(`tensor ${DIVISORS}: shape [${tensor?.shape.join(', ')}] does not fit the metadata`, `[${count}] (half the head)`);
  const divisors = [...readTensor(file, tensor)];
  const wrong = divisors.findIndex((divisor) => !(divisor > 0 && Number.isFinite(divisor)));
  if (wrong >= 0) throw keys.fail(`tensor ${DIVISORS}: element ${wrong} is ${divisors[wrong]}`, 'numbers above 0');
  return divisors;
}
