/**
 * Reads a model from its first byte to its last without a device: what is wrong with it is found here in seconds, not when
 * a run is under way.
 */
import { InputError } from '../errors.js';
import type { Warn } from '../errors.js';
import { openCheckpoint } from './checkpoint.js';
import type { Checkpoint } from './checkpoint.js';
import { describeCheckpoint } from './load.js';
import type { ModelInfo } from './load.js';
import type { Tokenizer } from './model.js';
import { streamCheckpoint } from './stream-checkpoint.js';
import type { LoadOptions } from './stream-checkpoint.js';

const SAMPLE = 'The pass key is 71432.';

export interface StoredType {
  readonly dtype: string;
  readonly tensors: number;
  readonly bytes: number;
}

export interface WholeModel extends ModelInfo {
  /** SHA-256 over the weight files in the order of their names, as `Model.hash`. */
  readonly hash: string;
  /** Types of the tensors that the model uses, the one with the most bytes first. */
  readonly storedTypes: readonly StoredType[];
  readonly hasChatTemplate: boolean;
}

/**
 * Config, tokenizer and chat template, then every weight: each is widened and must be finite.
 * @throws InputError for anything that loading would refuse, and for a tokenizer or template that cannot be used; InterruptedError.
 */
export async function readWholeModel(path: string, options: LoadOptions = {}): Promise<WholeModel> {
  const { warn = () => undefined } = options;
  const checkpoint = openCheckpoint(path, warn);
  const tokenizer = checkpoint.readTokenizer();
  const hasChatTemplate = checkpoint.hasTokenizer && tryTokenizer(tokenizer, warn);
  return {
    ...describeCheckpoint(checkpoint),
    hash: await streamCheckpoint(checkpoint, 'reading weights', options),
    storedTypes: storedTypes(checkpoint),
    hasChatTemplate,
  };
}

/** Encodes and decodes a few words, and renders a chat; true when there is a template. */
function tryTokenizer(tokenizer: Tokenizer, warn: Warn): boolean {
  const decoded = roundTrip(tokenizer);
  const bare = (text: string): string => text.replace(/\s/g, '');
  // A vocabulary of a few letters may be meant so: the model works, its texts do not.
  if (bare(decoded) !== bare(SAMPLE))
    warn({ code: 'tokenizer_round_trip', message: `the tokenizer turns ${JSON.stringify(SAMPLE)} into ${JSON.stringify(decoded)}` });
  return tokenizer.chat([{ role: 'user', content: SAMPLE }], { addGenerationPrompt: true }) !== undefined;
}

function roundTrip(tokenizer: Tokenizer): string {
  try {
    return tokenizer.decode(tokenizer.encode(SAMPLE), { skipSpecials: true });
  } catch (error) {
    if (error instanceof InputError) return error.message;
    throw error;
  }
}

function storedTypes({ tensors }: Checkpoint): StoredType[] {
  const types = new Map<string, StoredType>();
  for (const { dtype, bytes } of tensors) {
    const { tensors: count, bytes: sum } = types.get(dtype) ?? { tensors: 0, bytes: 0 };
    types.set(dtype, { dtype, tensors: count + 1, bytes: sum + bytes });
  }
  return [...types.values()].sort((a, b) => b.bytes - a.bytes);
}
