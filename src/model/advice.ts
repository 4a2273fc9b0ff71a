/**
 * What was expected of a model's files and what to try, by the code of the error, for errors that do not say it themselves:
 * where a fault is found, little is known of where the file came from.
 */
import { InputError } from '../errors.js';

interface Advice {
  readonly expected: string;
  readonly hint: string;
}

const AGAIN = 'get the file again, and compare its hash with the one its publisher gives';
const TOGETHER = 'take config, weights and tokenizer from one and the same model';
const FAMILIES = 'take a model of another family: the README lists those that are supported, and how one is added';
const FOLDER = 'name the folder of a model, a .gguf file, or hf:<repository>';

const file: Advice = { expected: 'a regular file in the folder that is named', hint: AGAIN };
const json: Advice = { expected: 'JSON as its publisher wrote it', hint: AGAIN };
const config: Advice = { expected: 'the settings of a model, as its publisher gives them', hint: TOGETHER };
const safetensors: Advice = { expected: 'a whole safetensors file: tensors one after the other, to its end', hint: AGAIN };
const gguf: Advice = { expected: 'a whole GGUF file', hint: AGAIN };
const tensor: Advice = { expected: 'the tensors that the config asks for', hint: TOGETHER };
const tokenizer: Advice = { expected: 'the tokenizer that belongs to the model', hint: TOGETHER };

const ADVICE: Readonly<Record<string, Advice>> = {
  chat_template: tokenizer,
  config_invalid: config,
  config_missing: { ...config, hint: FOLDER },
  config_unsupported: { ...config, hint: FAMILIES },
  file_kind: file,
  file_missing: file,
  file_outside: file,
  file_short: file,
  file_size: file,
  file_unreadable: file,
  gguf_alignment: gguf,
  gguf_config: { ...gguf, hint: 'convert the model again, with a present converter, or take one of a family that the README lists' },
  gguf_count: gguf,
  gguf_magic: gguf,
  gguf_metadata: gguf,
  gguf_tensor: gguf,
  gguf_text: gguf,
  gguf_tokenizer: gguf,
  gguf_truncated: gguf,
  gguf_version: { ...gguf, hint: 'convert the model again, with a present converter' },
  json_excess: json,
  json_repeated: json,
  json_shape: json,
  json_syntax: json,
  json_utf8: json,
  link_broken: file,
  model_ambiguous: { expected: 'one model', hint: FOLDER },
  model_missing: { expected: 'a model', hint: FOLDER },
  model_not_directory: { expected: 'a model', hint: FOLDER },
  model_type_missing: config,
  model_type_unsupported: { ...config, hint: FAMILIES },
  rope_conflict: config,
  rope_invalid: config,
  rope_unsupported: { ...config, hint: FAMILIES },
  safetensors_header: safetensors,
  safetensors_offsets: safetensors,
  safetensors_tensor: safetensors,
  shard_index: { expected: 'an index whose weight_map says in which file of the folder each tensor is', hint: AGAIN },
  shard_missing: { expected: 'every file that the index names', hint: AGAIN },
  tensor_dtype: { ...tensor, hint: 'store it as one of these, for example with save_pretrained of transformers' },
  tensor_missing: tensor,
  tensor_repeated: { expected: 'each tensor once', hint: AGAIN },
  tensor_shape: tensor,
  tensor_unexpected: tensor,
  token_range: tokenizer,
  tokenizer_config: tokenizer,
  tokenizer_invalid: tokenizer,
  tokenizer_regex: tokenizer,
  tokenizer_unsupported: tokenizer,
  weights_missing: { expected: 'weights', hint: FOLDER },
};

/** What `body` gives. @throws its InputError, with advice where it has none */
export function advised<T>(body: () => T): T {
  try {
    return body();
  } catch (error) {
    if (!(error instanceof InputError) || !Object.hasOwn(ADVICE, error.code)) throw error;
    throw new InputError({ ...ADVICE[error.code], ...error.facts });
  }
}
