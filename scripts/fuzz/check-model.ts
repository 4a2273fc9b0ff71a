/** What is accepted as a model, held against itself. */
import { openCheckpoint } from '../../src/model/checkpoint.js';
import type { Tokenizer } from '../../src/model/model.js';
import { streamCheckpoint } from '../../src/model/stream-checkpoint.js';
import { elementsOf, isWeightDtype, readTensor } from '../../src/model/weight-file.js';
import type { WeightFile } from '../../src/model/weight-file.js';
import { require } from './kind.js';

const TEXTS = ['', 'the thing é\u{1F600} ab <|end|> <0x41>\ufffd \u0661\0\t', `${'a'.repeat(200)} ${' '.repeat(200)}\n`];

/** Reads a model as `duo doctor` does: config, every tensor, tokenizer, chat template. */
export async function readModel(path: string): Promise<void> {
  const checkpoint = openCheckpoint(path, () => undefined);
  const { config, tensors, files } = checkpoint;
  const counts = [config.layers, config.hidden, config.intermediate, config.queryHeads, config.kvHeads, config.headDim, config.vocab];
  require(counts.every((count) => Number.isSafeInteger(count) && count > 0), 'a size is no whole number');
  require(config.queryHeads % config.kvHeads === 0, 'its heads cannot be grouped');
  require(config.windows.length === config.layers, 'a layer has no window');
  for (const tensor of tensors) require(tensor.start + tensor.bytes <= tensor.file.bytes, `${tensor.name} ends outside the file`);
  files.forEach(checkPlaces);
  const tokenizer = checkpoint.readTokenizer();
  if (checkpoint.hasTokenizer) useTokenizer(tokenizer);
  await streamCheckpoint(checkpoint, 'reading', {});
}

/** Tensors lie inside the file, in order, and share no byte. */
export function checkPlaces({ bytes, tensors }: WeightFile): void {
  let end = 0;
  for (const [name, tensor] of tensors) {
    require(tensor.name === name, `${name} is filed under another name`);
    require(Number.isSafeInteger(tensor.start) && tensor.start >= end, `${name} begins before the tensor before it ends`);
    require(Number.isSafeInteger(tensor.bytes) && tensor.bytes >= 0, `${name} has ${tensor.bytes} bytes`);
    end = tensor.start + tensor.bytes;
    require(end <= bytes, `${name} ends outside the file`);
  }
}

/** Tensors have as many values as their shapes say. */
export function checkValues(file: WeightFile): void {
  for (const tensor of file.tensors.values())
    if (isWeightDtype(tensor.dtype)) require(readTensor(file, tensor).length === elementsOf(tensor), `${tensor.name} has other sizes`);
}

/** Texts through a tokenizer and back: every id lies in the vocabulary. */
export function useTokenizer(tokenizer: Tokenizer): void {
  for (const text of TEXTS) {
    const ids = tokenizer.encode(text, { specials: true });
    const inside = ids.every((id) => Number.isInteger(id) && id >= 0 && id < tokenizer.vocab);
    require(inside, `an id of ${JSON.stringify(text)} is outside the vocabulary`);
    require(typeof tokenizer.decode(ids) === 'string', 'ids decode to no text');
  }
  const chat = tokenizer.chat([{ role: 'user', content: 'hello' }], { addGenerationPrompt: true });
  require(chat === undefined || typeof chat === 'string', 'a chat is no text');
}
