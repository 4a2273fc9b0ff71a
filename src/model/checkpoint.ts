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
import { belongsToLayer, plannedTensors } from './families.js';
import type { Family, PlannedTensor } from './families.js';
import { findFile, modelFolder, readJsonObject } from './files.js';
import { readConfig, readGenerationEndTokens } from './read-config.js';
import { isWeightDtype, readSafetensors } from './safetensors.js';
import type { SafetensorsFile, StoredTensor } from './safetensors.js';

const WHOLE = 'model.safetensors';
const INDEX = 'model.safetensors.index.json';
/** An index line is about 100 bytes: room for 300,000 tensors. */
const MAX_INDEX_BYTES = 32 << 20;
const MAX_SHARDS = 10_000;

export interface Checkpoint {
  /** The folder, links followed. */
  readonly folder: string;
  /** Name for people: the folder's name. */
  readonly id: string;
  readonly family: Family;
  readonly config: ModelConfig;
  /** Every id that ends a generation: generation_config.json's, else config.json's, else none. */
  readonly endTokens: readonly number[];
  /** Weight files in the order of their names. */
  readonly files: readonly SafetensorsFile[];
  /** What the model needs, each found and of the right shape, in the order of the files. */
  readonly tensors: readonly CheckpointTensor[];
}

export interface CheckpointTensor extends StoredTensor {
  readonly file: SafetensorsFile;
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
  const tensors = plannedTensors(family, config).map((planned) => findTensor(planned, placed, config, folder));
  reportUnused(family, config, placed, tensors, warn);
  const ends = readGenerationEndTokens(folder) ?? endTokens;
  warnOfEndTokens(ends, config, warn);
  const order = new Map(files.map((file, index) => [file, index]));
  const position = (tensor: CheckpointTensor): number => order.get(tensor.file) ?? 0;
  const sorted = tensors.sort((a, b) => position(a) - position(b) || a.start - b.start);
  return { folder, id: basename(folder), family, config, endTokens: ends, files, tensors: sorted };
}

type Placed = ReadonlyMap<string, CheckpointTensor>;

function openWeights(folder: string): { files: readonly SafetensorsFile[]; placed: Placed } {
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

function openShards(folder: string, index: string): { files: readonly SafetensorsFile[]; placed: Placed } {
  const fail = (what: string): InputError => new InputError({ code: 'shard_index', what: `${INDEX}: ${what}`, given: index });
  const parsed = weightMapSchema.safeParse(readJsonObject(index, MAX_INDEX_BYTES)['weight_map']);
  if (!parsed.success) throw fail('no weight_map object of tensor names and file names');
  const weightMap = Object.entries(parsed.data);
  const names = [...new Set(weightMap.map(([, shard]) => shard))].sort();
  if (names.length > MAX_SHARDS) throw fail(`${names.length} shards, expected at most ${MAX_SHARDS}`);
  const shards = new Map(names.map((name) => [name, openShard(folder, name, fail)]));
  const placed = weightMap.map(([name, shard]): [string, CheckpointTensor] => {
    const file = shards.get(shard);
    const tensor = file?.tensors.get(name);
    if (file === undefined || tensor === undefined) throw fail(`it says that ${name} is in ${shard}, but that file does not hold it`);
    return [name, { ...tensor, file }];
  });
  return { files: [...shards.values()], placed: new Map(placed) };
}

function openShard(folder: string, name: string, fail: (what: string) => InputError): SafetensorsFile {
  if (/[/\\]/.test(name) || name.startsWith('..')) throw fail(`shard name ${JSON.stringify(name)} leaves the model folder`);
  const path = findFile(folder, name);
  if (path === undefined) throw fail(`shard ${JSON.stringify(name)} is not in the folder`);
  return readSafetensors(path);
}

function findTensor(planned: PlannedTensor, placed: Placed, config: ModelConfig, folder: string): CheckpointTensor {
  const { name, shape, shapeKeys } = planned;
  const tensor = placed.get(name);
  if (tensor === undefined) {
    const why = name.startsWith('lm_head') ? ' (tie_word_embeddings is false)' : '';
    throw new InputError({
      code: 'tensor_missing',
      what: `missing tensor ${name}${why}`,
      given: folder,
      expected: `a checkpoint of ${config.layers} layers, as config.json says`,
    });
  }
  if (tensor.shape.length !== shape.length || shape.some((size, i) => size !== tensor.shape[i]))
    throw new InputError({
      code: 'tensor_shape',
      what: `tensor ${name}: shape [${tensor.shape.join(', ')}] does not fit config.json`,
      given: tensor.file.path,
      expected: `[${shape.join(', ')}] (${shapeKeys})`,
    });
  if (!isWeightDtype(tensor.dtype))
    throw new InputError({
      code: 'tensor_dtype',
      what: `tensor ${name}: dtype ${tensor.dtype} is not supported`,
      given: tensor.file.path,
      expected: 'F32, F16 or BF16',
    });
  return tensor;
}

/** An unknown part of a layer would change the result and is refused; anything else unused is a warning. */
function reportUnused(family: Family, config: ModelConfig, placed: Placed, needed: readonly StoredTensor[], warn: Warn): void {
  const known = new Set(needed.map((tensor) => tensor.name));
  const unused = [...placed.keys()].filter((name) => !known.has(name) && !family.ignored.some((pattern) => pattern.test(name)));
  const foreign = unused.find((name) => belongsToLayer(family, config, name));
  if (foreign !== undefined)
    throw new InputError({
      code: 'tensor_unexpected',
      what: `unexpected tensor ${foreign}: a ${family.name} layer has no such part, and leaving it out would change the result`,
      given: placed.get(foreign)?.file.path ?? foreign,
    });
  const surplus = unused.filter((name) => !(config.tied && name === family.names.head));
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
