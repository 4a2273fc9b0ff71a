/** The tensors that a model needs, found in its files: each there, of the right shape and type, and nothing left over that matters. */
import { InputError } from '../errors.js';
import type { Warn } from '../errors.js';
import type { ModelConfig } from './config.js';
import type { Family, StoredPart } from './families.js';
import { belongsToLayer, plannedTensors } from './plan.js';
import type { PlannedTensor, PlannedWeight } from './plan.js';
import { isWeightDtype, weightDtypes } from './weight-file.js';
import type { StoredTensor, WeightFile } from './weight-file.js';
import { showName } from './show-name.js';

/** A tensor in one of the files. */
export interface PlacedTensor extends StoredTensor {
  readonly file: WeightFile;
}

/** A tensor the model needs, with the weights that lie in its rows. */
export interface CheckpointTensor extends PlacedTensor {
  readonly weights: readonly PlannedWeight[];
}

/** Tensors by name. */
export type PlacedTensors = ReadonlyMap<string, PlacedTensor>;

/** What tensors are looked for, where, and why. */
export interface TensorSearch {
  readonly family: Family;
  readonly parts: readonly StoredPart[];
  readonly config: ModelConfig;
  readonly placed: PlacedTensors;
  readonly source: string;
}

/** The tensors a model needs, each found and of the right shape, in the order of the files. @throws InputError */
export function neededTensors(search: TensorSearch, files: readonly WeightFile[], warn: Warn): CheckpointTensor[] {
  const tensors = plannedTensors(search.parts, search.config).map((planned) => findTensor(planned, search));
  reportUnused(search, tensors, warn);
  const order = new Map(files.map((file, index) => [file, index]));
  const position = (tensor: PlacedTensor): number => order.get(tensor.file) ?? 0;
  return tensors.sort((a, b) => position(a) - position(b) || a.start - b.start);
}

function findTensor(planned: PlannedTensor, { placed, config, source }: TensorSearch): CheckpointTensor {
  const { name, shape, shapeKeys, weights } = planned;
  const tensor = placed.get(name);
  if (tensor === undefined) {
    const why = name.startsWith('lm_head') ? ' (tie_word_embeddings is false)' : '';
    throw new InputError({
      code: 'tensor_missing',
      what: `missing tensor ${name}${why}`,
      given: source,
      expected: `a checkpoint of ${config.layers} layers, as its config says`,
    });
  }
  if (!isWeightDtype(tensor.dtype))
    throw new InputError({
      code: 'tensor_dtype',
      what: `tensor ${showName(name)}: dtype ${tensor.dtype} is not supported`,
      given: tensor.file.path,
      expected: weightDtypes(),
    });
  if (tensor.shape.length !== shape.length || shape.some((size, i) => size !== tensor.shape[i]))
    throw new InputError({
      code: 'tensor_shape',
      what: `tensor ${showName(name)}: shape [${tensor.shape.join(', ')}] does not fit the config`,
      given: tensor.file.path,
      expected: `[${shape.join(', ')}] (${shapeKeys})`,
    });
  return { ...tensor, weights };
}

/** An unknown part of a layer would change the result and is refused; anything else unused is a warning. */
function reportUnused({ family, parts, config, placed }: TensorSearch, needed: readonly StoredTensor[], warn: Warn): void {
  const known = new Set(needed.map((tensor) => tensor.name));
  const unused = [...placed.keys()].filter((name) => !known.has(name) && !family.ignored.some((pattern) => pattern.test(name)));
  const foreign = unused.find((name) => belongsToLayer(parts, config, name));
  if (foreign !== undefined)
    throw new InputError({
      code: 'tensor_unexpected',
      what: `unexpected tensor ${showName(foreign)}: a ${family.name} layer has no such part, and leaving it out would change the result`,
      given: placed.get(foreign)?.file.path ?? foreign,
    });
  const head = parts.find((part) => part.slots.includes('head'))?.name;
  const surplus = unused.filter((name) => !(config.tied && name === head));
  if (surplus.length > 0)
    warn({
      code: 'tensors_unused',
      message: `the checkpoint holds ${surplus.length} tensors that the model does not use, such as ${surplus[0]}`,
    });
}

/** An end token outside the vocabulary is harmless, and a sign that something is wrong. */
export function warnOfEndTokens(endTokens: readonly number[], config: ModelConfig, warn: Warn): void {
  const outside = endTokens.filter((id) => id >= config.vocab);
  if (outside.length > 0)
    warn({
      code: 'end_token_range',
      message: `end token ${outside.join(', ')} is outside the vocabulary of ${config.vocab} and can never be generated`,
    });
}
