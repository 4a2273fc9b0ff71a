/** Which of a repository's files make up a model. */
import { z } from 'zod';
import { InputError } from '../../errors.js';
import { readJsonObject } from '../files.js';
import { formatHubName, isPlainName } from './name.js';
import type { HubName } from './name.js';

export const WHOLE = 'model.safetensors';
export const INDEX = 'model.safetensors.index.json';

/** What is read beside the weights, where a repository has it. */
export const SMALL_FILES = [
  'config.json',
  'generation_config.json',
  'tokenizer.json',
  'tokenizer_config.json',
  'chat_template.jinja',
] as const;

/** An index line is about 100 bytes: room for 300,000 tensors. */
const MAX_INDEX_BYTES = 32 << 20;

/** The file that holds the weights, or says which files do; undefined when there is none, or no telling which. */
export function chooseWeights(names: ReadonlySet<string>, { file }: HubName): string | undefined {
  if (file !== undefined) return names.has(file) ? file : undefined;
  const ggufs = ggufsOf(names);
  return [WHOLE, INDEX].find((name) => names.has(name)) ?? (ggufs.length === 1 ? ggufs[0] : undefined);
}

/** Whether weights come with the small files beside them; a GGUF holds everything itself. */
export function needsFolder(weights: string): boolean {
  return weights === WHOLE || weights === INDEX;
}

/** The .gguf files among the names, sorted. */
export function ggufsOf(names: Iterable<string>): readonly string[] {
  return [...names].filter((name) => name.toLowerCase().endsWith('.gguf')).sort();
}

/** Why there is nothing to choose. */
export function noWeights(names: ReadonlySet<string>, name: HubName): InputError {
  const ggufs = ggufsOf(names);
  const [first] = ggufs;
  return new InputError({
    code: 'hub_weights',
    what: whyNoWeights(names, ggufs, name),
    given: formatHubName(name, name.revision),
    expected: first === undefined ? `${WHOLE}, shards with ${INDEX}, or a .gguf file at the top` : `one of ${ggufs.join(', ')}`,
    ...(first === undefined ? {} : { hint: `name the file: ${formatHubName({ ...name, file: first }, name.revision)}` }),
  });
}

function whyNoWeights(names: ReadonlySet<string>, ggufs: readonly string[], { file }: HubName): string {
  if (file !== undefined) return `the repository has no file ${file}`;
  if (ggufs.length > 1) return 'the repository has several GGUF files and no safetensors';
  const isPickled = [...names].some((name) => name.startsWith('pytorch_model'));
  return isPickled ? 'the repository has only pickled weights, which are not supported' : 'the repository has no weights';
}

const weightMapSchema = z.record(z.string(), z.string());

/** Names of the shards that an index file names. @throws InputError when it is no index, or a name leaves the folder */
export function shardNames(path: string): readonly string[] {
  const parsed = weightMapSchema.safeParse(readJsonObject(path, MAX_INDEX_BYTES)['weight_map']);
  const fail = (what: string): InputError => new InputError({ code: 'shard_index', what: `${INDEX}: ${what}`, given: path });
  if (!parsed.success) throw fail('no weight_map object of tensor names and file names');
  const names = [...new Set(Object.values(parsed.data))].sort();
  const bad = names.find((name) => !isPlainName(name));
  if (bad !== undefined) throw fail(`shard name ${JSON.stringify(bad)} leaves the model folder`);
  return names;
}
