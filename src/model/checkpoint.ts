/**
 * A checkpoint on disk, opened but not loaded: its config, its files, and where each tensor the model needs lies. Opening
 * reads headers only, takes milliseconds, and checks everything that can be checked without the weights themselves.
 */
import { existsSync } from 'node:fs';
import { basename, join } from 'node:path';
import { z } from 'zod';
import { InputError } from '../errors.js';
import type { Warn } from '../errors.js';
import { PACKAGE_ROOT } from '../version.js';
import type { ModelConfig } from './config.js';
import type { Family, StoredPart } from './families.js';
import { findFile, modelFolder, readJsonObject } from './files.js';
import type { Tokenizer } from './model.js';
import { belongsToLayer, plannedTensors } from './plan.js';
import type { PlannedTensor, PlannedWeight } from './plan.js';
import { readConfig, readGenerationEndTokens } from './read-config.js';
import { readSafetensors } from './safetensors.js';
import { hasTokenizer, readTokenizer } from './tokenizer.js';
import { isWeightDtype, weightDtypes } from './weight-file.js';
import type { StoredTensor, WeightFile } from './weight-file.js';

const WHOLE = 'model.safetensors';
const INDEX = 'model.safetensors.index.json';
/** An index line is about 100 bytes: room for 300,000 tensors. */
const MAX_INDEX_BYTES = 32 << 20;
const MAX_SHARDS = 10_000;

export interface Checkpoint {
  /** The folder, or the GGUF file; links followed. */
  readonly path: string;
  /** Name for people: the folder's or the file's name. */
  readonly id: string;
  readonly family: Family;
  readonly config: ModelConfig;
  /** Every id that ends a generation: generation_config.json's, else config.json's, else none. */
  readonly endTokens: readonly number[];
  /** Weight files in the order of their names. */
  readonly files: readonly WeightFile[];
  /** What the model needs, each found and of the right shape, in the order of the files. */
  readonly tensors: readonly CheckpointTensor[];
  /** Rows of Q and K (weights and biases) are stored so that rope pairs neighbours; see GgufLayout. */
  readonly pairedRows: boolean;
  readonly hasTokenizer: boolean;
  /** @throws InputError when it is malformed or not supported; where there is none, the result says so when it is used. */
  readonly readTokenizer: () => Tokenizer;
}

/** A tensor in one of the files. */
export interface PlacedTensor extends StoredTensor {
  readonly file: WeightFile;
}

/** A tensor the model needs, with the weights that lie in its rows. */
export interface CheckpointTensor extends PlacedTensor {
  readonly weights: readonly PlannedWeight[];
}

/** The embedded reference model. */
export function defaultModelPath(): string {
  return join(PACKAGE_ROOT, 'models', 'duo-mini');
}

/**
 * Opens a model directory in the Hugging Face layout: config.json, and model.safetensors or shards with an index.
 * @throws InputError when it is no such directory, not supported, or its parts do not fit together.
 */
export function openCheckpoint(path: string, warn: Warn): Checkpoint {
  const folder = modelFolder(path);
  const { family, config, endTokens } = readConfig(folder);
  const { files, placed } = openWeights(folder);
  const ends = readGenerationEndTokens(folder) ?? endTokens;
  warnOfEndTokens(ends, config, warn);
  return {
    path: folder,
    id: basename(folder),
    family,
    config,
    endTokens: ends,
    files,
    tensors: neededTensors({ family, parts: family.tensors, config, placed, source: folder }, files, warn),
    pairedRows: false,
    hasTokenizer: hasTokenizer(folder),
    readTokenizer: () => readTokenizer(folder, config.vocab),
  };
}

type Placed = ReadonlyMap<string, PlacedTensor>;

/** What tensors are looked for, where, and why. */
export interface TensorSearch {
  readonly family: Family;
  readonly parts: readonly StoredPart[];
  readonly config: ModelConfig;
  readonly placed: Placed;
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

function openWeights(folder: string): { files: readonly WeightFile[]; placed: Placed } {
  const whole = findFile(folder, WHOLE);
  if (whole !== undefined) {
    const file = readSafetensors(whole);
    return { files: [file], placed: new Map([...file.tensors].map(([name, tensor]) => [name, { ...tensor, file }])) };
  }
  const index = findFile(folder, INDEX);
  if (index !== undefined) return openShards(folder, index);
  const pickle = ['pytorch_model.bin', 'pytorch_model.bin.index.json'].some((name) => existsSync(join(folder, name)));
  throw new InputError({
    code: 'weights_missing',
    what: pickle ? 'only pytorch_model.bin found: pickle checkpoints are not supported' : `no ${WHOLE} or ${INDEX} in the folder`,
    given: folder,
    expected: `${WHOLE}, or shards with ${INDEX}`,
    ...(pickle ? { hint: 'convert it to safetensors, for example with save_pretrained of transformers' } : {}),
  });
}

const weightMapSchema = z.record(z.string(), z.string());

function openShards(folder: string, index: string): { files: readonly WeightFile[]; placed: Placed } {
  const fail = (what: string): InputError => new InputError({ code: 'shard_index', what: `${INDEX}: ${what}`, given: index });
  const parsed = weightMapSchema.safeParse(readJsonObject(index, MAX_INDEX_BYTES)['weight_map']);
  if (!parsed.success) throw fail('no weight_map object of tensor names and file names');
  const weightMap = Object.entries(parsed.data);
  const names = [...new Set(weightMap.map(([, shard]) => shard))].sort();
  if (names.length > MAX_SHARDS) throw fail(`${names.length} shards, expected at most ${MAX_SHARDS}`);
  const shards = new Map(names.map((name) => [name, openShard(folder, name, fail)]));
  const placed = weightMap.map(([name, shard]): [string, PlacedTensor] => {
    const file = shards.get(shard);
    const tensor = file?.tensors.get(name);
    if (file === undefined || tensor === undefined) throw fail(`it says that ${name} is in ${shard}, but that file does not hold it`);
    return [name, { ...tensor, file }];
  });
  return { files: [...shards.values()], placed: new Map(placed) };
}

function openShard(folder: string, name: string, fail: (what: string) => InputError): WeightFile {
  if (/[/\\]/.test(name) || name.startsWith('..')) throw fail(`shard name ${JSON.stringify(name)} leaves the model folder`);
  const path = findFile(folder, name);
  if (path === undefined) throw fail(`shard ${JSON.stringify(name)} is not in the folder`);
  return readSafetensors(path);
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
  if (tensor.shape.length !== shape.length || shape.some((size, i) => size !== tensor.shape[i]))
    throw new InputError({
      code: 'tensor_shape',
      what: `tensor ${name}: shape [${tensor.shape.join(', ')}] does not fit the config`,
      given: tensor.file.path,
      expected: `[${shape.join(', ')}] (${shapeKeys})`,
    });
  if (!isWeightDtype(tensor.dtype))
    throw new InputError({
      code: 'tensor_dtype',
      what: `tensor ${name}: dtype ${tensor.dtype} is not supported`,
      given: tensor.file.path,
      expected: weightDtypes(),
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
      what: `unexpected tensor ${foreign}: a ${family.name} layer has no such part, and leaving it out would change the result`,
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

function warnOfEndTokens(endTokens: readonly number[], config: ModelConfig, warn: Warn): void {
  const outside = endTokens.filter((id) => id >= config.vocab);
  if (outside.length > 0)
    warn({
      code: 'end_token_range',
      message: `end token ${outside.join(', ')} is outside the vocabulary of ${config.vocab} and can never be generated`,
    });
}
