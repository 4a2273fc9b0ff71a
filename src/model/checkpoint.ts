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
import { advised } from './advice.js';
import type { ModelConfig } from './config.js';
import type { Family } from './families.js';
import { findFile, modelPlace, readJsonObject } from './files.js';
import { openGguf } from './gguf/checkpoint.js';
import { hubNameOf } from './hub/name.js';
import type { Tokenizer } from './model.js';
import { neededTensors, warnOfEndTokens } from './needed-tensors.js';
import type { CheckpointTensor, PlacedTensor, PlacedTensors } from './needed-tensors.js';
import { readConfig, readGenerationEndTokens } from './read-config.js';
import { readSafetensors } from './safetensors.js';
import { hasTokenizer, readTokenizer } from './tokenizer/read.js';
import type { WeightFile } from './weight-file.js';
import { showName } from './show-name.js';

const WHOLE = 'model.safetensors';
const INDEX = 'model.safetensors.index.json';
/** An index line is about 100 bytes: room for 300,000 tensors. */
const MAX_INDEX_BYTES = 32 << 20;
const MAX_SHARDS = 10_000;

export interface Checkpoint {
  /** The folder, or the GGUF file; links followed. */
  readonly path: string;
  /** Name for people: the folder's or the file's name, or `hf:owner/name@commit` for what lies in a hub's cache. */
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

/** The embedded reference model. */
export function defaultModelPath(): string {
  return join(PACKAGE_ROOT, 'models', 'duo-mini');
}

/**
 * Opens a model: a directory in the Hugging Face layout (config.json, and model.safetensors or shards with an index), a
 * .gguf file, or a directory that holds one and no config.json.
 * @throws InputError when it is none of them, not supported, or its parts do not fit together.
 */
export function openCheckpoint(path: string, warn: Warn): Checkpoint {
  const checkpoint = advised(() => {
    const place = modelPlace(path);
    return 'file' in place ? openGguf(place.file, warn) : openFolder(place.folder, warn);
  });
  return { ...checkpoint, readTokenizer: () => advised(checkpoint.readTokenizer) };
}

function openFolder(folder: string, warn: Warn): Checkpoint {
  const { family, config, endTokens } = readConfig(folder);
  const { files, placed } = openWeights(folder);
  const ends = readGenerationEndTokens(folder) ?? endTokens;
  warnOfEndTokens(ends, config, warn);
  return {
    path: folder,
    id: hubNameOf(folder) ?? basename(folder),
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

function openWeights(folder: string): { files: readonly WeightFile[]; placed: PlacedTensors } {
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

function openShards(folder: string, index: string): { files: readonly WeightFile[]; placed: PlacedTensors } {
  const fail = (what: string): InputError => new InputError({ code: 'shard_index', what: `${INDEX}: ${what}`, given: index });
  const parsed = weightMapSchema.safeParse(readJsonObject(index, MAX_INDEX_BYTES)['weight_map']);
  if (!parsed.success) throw fail('no weight_map object of tensor names and file names');
  const weightMap = Object.entries(parsed.data);
  const names = [...new Set(weightMap.map(([, shard]) => shard))].sort();
  if (names.length > MAX_SHARDS) throw fail(`${names.length} shards, expected at most ${MAX_SHARDS}`);
  const shards = new Map(names.map((name) => [name, openShard(folder, name, fail)]));
  for (const [name, shard] of weightMap)
    if (!shards.get(shard)?.tensors.has(name)) throw fail(`it says that ${name} is in ${shard}, but that file does not hold it`);
  const files = [...shards.values()];
  return { files, placed: placeTensors(files) };
}

/** Every tensor of the shards, of those too that the index leaves out: other loaders take them. @throws InputError for one that two shards hold */
function placeTensors(files: readonly WeightFile[]): PlacedTensors {
  const placed = new Map<string, PlacedTensor>();
  for (const file of files)
    for (const [name, tensor] of file.tensors) {
      const first = placed.get(name)?.file;
      if (first !== undefined) {
        const what = `tensor ${showName(name)} is in ${basename(first.path)} and in ${basename(file.path)}`;
        throw new InputError({ code: 'tensor_repeated', what, given: file.path });
      }
      placed.set(name, { ...tensor, file });
    }
  return placed;
}

function openShard(folder: string, name: string, fail: (what: string) => InputError): WeightFile {
  if (/[/\\]/.test(name) || name.startsWith('..')) throw fail(`shard name ${JSON.stringify(name)} leaves the model folder`);
  const path = findFile(folder, name);
  if (path === undefined) throw fail(`shard ${JSON.stringify(name)} is not in the folder`);
  return readSafetensors(path);
}
