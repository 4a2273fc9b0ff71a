/** GGUF: every field of the header is known to the mutator; the model is tiny, with a tokenizer in its metadata. */
import { join } from 'node:path';
import type { Rng } from '../../../src/data/rng.js';
import { readGguf } from '../../../src/model/gguf/read.js';
import { checkPlaces, checkValues, readModel } from '../check-model.js';
import { integer, joined, mutateBytes, mutateFields } from '../mutate-bytes.js';
import type { FuzzKind } from '../kind.js';
import { BYTE_CHARACTERS, MERGES } from './tokenizer.js';

const NAME = 'model.gguf';
const ALIGNMENT = 32;

/** Value types by number, as the format has them. */
const UINT32 = 4;
const INT32 = 5;
const FLOAT32 = 6;
const BOOL = 7;
const STRING = 8;
const ARRAY = 9;

type Fields = readonly Uint8Array[];

const uint32 = (value: number): Uint8Array => integer(value, 4);
const uint64 = (value: number): Uint8Array => integer(value, 8);
const float32 = (value: number): Uint8Array => new Uint8Array(Float32Array.of(value).buffer);
const text = (value: string): Fields => [uint64(Buffer.byteLength(value)), Buffer.from(value)];
const array = (type: number, values: readonly Fields[]): Fields => [uint32(type), uint64(values.length), ...values.flat()];

const TOKENS = [...BYTE_CHARACTERS, '<|end|>', ...MERGES.map((pair) => pair.join(''))];

const METADATA: readonly (readonly [key: string, type: number, value: Fields])[] = [
  ['general.architecture', STRING, text('llama')],
  ['general.name', STRING, text('tiny')],
  ['general.alignment', UINT32, [uint32(ALIGNMENT)]],
  ['llama.block_count', UINT32, [uint32(1)]],
  ['llama.context_length', UINT32, [uint32(64)]],
  ['llama.embedding_length', UINT32, [uint32(32)]],
  ['llama.feed_forward_length', UINT32, [uint32(32)]],
  ['llama.attention.head_count', UINT32, [uint32(4)]],
  ['llama.attention.head_count_kv', UINT32, [uint32(2)]],
  ['llama.attention.layer_norm_rms_epsilon', FLOAT32, [float32(1e-5)]],
  ['llama.rope.dimension_count', UINT32, [uint32(8)]],
  ['llama.rope.freq_base', FLOAT32, [float32(10_000)]],
  ['llama.vocab_size', UINT32, [uint32(TOKENS.length)]],
  ['tokenizer.ggml.model', STRING, text('gpt2')],
  ['tokenizer.ggml.pre', STRING, text('llama-bpe')],
  ['tokenizer.ggml.tokens', ARRAY, array(STRING, TOKENS.map(text))],
  [
    'tokenizer.ggml.token_type',
    ARRAY,
    array(
      INT32,
      TOKENS.map((token) => [uint32(token === '<|end|>' ? 3 : 1)]),
    ),
  ],
  [
    'tokenizer.ggml.merges',
    ARRAY,
    array(
      STRING,
      MERGES.map((pair) => text(pair.join(' '))),
    ),
  ],
  ['tokenizer.ggml.bos_token_id', UINT32, [uint32(256)]],
  ['tokenizer.ggml.eos_token_id', UINT32, [uint32(256)]],
  ['tokenizer.ggml.add_bos_token', BOOL, [Uint8Array.of(1)]],
  ['tokenizer.chat_template', STRING, text('{% for m in messages %}{{ m.content }}{% endfor %}')],
];

/** Tensor types: number, values and bytes of a block. */
const TYPES = {
  F32: [0, 1, 4],
  F16: [1, 1, 2],
  Q4_0: [2, 32, 18],
  Q4_1: [3, 32, 20],
  Q5_0: [6, 32, 22],
  Q5_1: [7, 32, 24],
  Q8_0: [8, 32, 34],
  BF16: [30, 1, 2],
} as const;

/** Sizes innermost first, as the format has them. */
const TENSORS: readonly (readonly [name: string, dimensions: readonly number[]])[] = [
  ['token_embd.weight', [32, TOKENS.length]],
  ['output_norm.weight', [32]],
  ['blk.0.attn_norm.weight', [32]],
  ['blk.0.attn_q.weight', [32, 32]],
  ['blk.0.attn_k.weight', [32, 16]],
  ['blk.0.attn_v.weight', [32, 16]],
  ['blk.0.attn_output.weight', [32, 32]],
  ['blk.0.ffn_norm.weight', [32]],
  ['blk.0.ffn_gate.weight', [32, 32]],
  ['blk.0.ffn_up.weight', [32, 32]],
  ['blk.0.ffn_down.weight', [32, 32]],
];

export const ggufKind: FuzzKind = {
  name: 'gguf',
  // A GGUF file is named by the user, who may name a link.
  make: (rng, changes) => ({ [NAME]: file(rng, changes) }),
  read: async (folder) => {
    const path = join(folder, NAME);
    const opened = readGguf(path);
    checkPlaces(opened);
    checkValues(opened);
    await readModel(path);
  },
};

function file(rng: Rng, changes: number): Uint8Array {
  const inBytes = rng.float() < 0.2 ? changes : 0;
  const inLists = rng.float() < 0.3 ? rng.int(0, changes - inBytes) : 0;
  const { list, dataBytes } = tensorList(rng);
  const metadata = relisted(
    rng,
    METADATA.map(([key, type, value]) => [...text(key), uint32(type), ...value]),
    inLists,
  );
  const tensors = relisted(rng, list, inLists);
  const start: Fields = [Buffer.from('GGUF'), uint32(rng.choice([2, 3])), uint64(tensors.length), uint64(metadata.length)];
  const entries = [start, ...metadata, ...tensors];
  for (let i = inBytes + inLists; i < changes; i++) changeEntry(rng, entries);
  const header = joined(entries.flat());
  const data = new Uint8Array(padded(header.length) - header.length + dataBytes);
  return mutateBytes(rng, joined([header, data]), inBytes);
}

const padded = (bytes: number): number => Math.ceil(bytes / ALIGNMENT) * ALIGNMENT;

/** The tensor list: norms in F32, matrices in one type, one behind the other. */
function tensorList(rng: Rng): { readonly list: readonly Fields[]; readonly dataBytes: number } {
  const matrices = rng.choice(Object.values(TYPES));
  let dataBytes = 0;
  const list = TENSORS.map(([name, dimensions]): Fields => {
    const [type, blockValues, blockBytes] = dimensions.length === 1 ? TYPES.F32 : matrices;
    const offset = dataBytes;
    dataBytes += padded((dimensions.reduce((product, size) => product * size, 1) / blockValues) * blockBytes);
    return [...text(name), uint32(dimensions.length), ...dimensions.map(uint64), uint32(type), uint64(offset)];
  });
  return { list, dataBytes };
}

/** `count` entries left out, repeated or moved; the counts in the header follow. */
function relisted(rng: Rng, entries: readonly Fields[], count: number): Fields[] {
  const changed = [...entries];
  for (let i = 0; i < count && changed.length > 0; i++) {
    const at = rng.int(0, changed.length - 1);
    const entry = changed[at] ?? [];
    rng.choice([
      () => changed.splice(at, 1),
      () => changed.splice(at, 0, entry),
      () => changed.splice(rng.int(0, changed.length), 0, ...changed.splice(at, 1)),
    ])();
  }
  return changed;
}

/** A change of fields in an entry; its first eight hold name, type and counts, which the tokens after them would hide. */
function changeEntry(rng: Rng, entries: Fields[]): void {
  const at = rng.float() < 0.1 ? 0 : rng.int(0, entries.length - 1);
  const entry = entries[at] ?? [];
  const head = rng.float() < 0.7 ? entry.slice(0, 8) : entry;
  entries[at] = [...mutateFields(rng, head, 1), ...entry.slice(head.length)];
}
