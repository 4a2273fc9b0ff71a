/** One safetensors file: 8 bytes of header length, a JSON header padded with spaces to 8 bytes, then the tensors without gaps. */
import { patternHash } from '../hash.js';
import { PATTERN_SCHEMA } from '../schema.js';
import { littleEndian, readFloat32, readInt32 } from './bytes.js';
import type { Values } from './bytes.js';
import { arraysOf, compareArrays } from './format.js';
import type { Arrays, ExportContent, PatternFormat } from './format.js';

const FILE = 'pattern.safetensors';
const ALIGNMENT = 8;

interface Entry {
  readonly name: string;
  readonly dtype: 'F32' | 'I32' | 'BOOL';
  readonly shape: readonly number[];
  readonly values: Values;
}

/** Widest elements first, so that every tensor begins where its type is aligned. */
function entriesOf(content: ExportContent): readonly Entry[] {
  const { gates, windows, mask } = arraysOf(content);
  const shape = [content.pattern.model.layers, content.pattern.model.kvHeads];
  return [
    { name: 'gates', dtype: 'F32', shape, values: gates },
    { name: 'windows', dtype: 'I32', shape: [2], values: windows },
    ...(mask === undefined ? [] : [{ name: 'mask', dtype: 'BOOL', shape, values: mask } as const]),
  ];
}

/** Safetensors metadata is text alone. */
function metadataOf({ pattern, cut }: ExportContent): Readonly<Record<string, string>> {
  return {
    schema: PATTERN_SCHEMA,
    tool: pattern.tool,
    model: pattern.model.id,
    pattern_hash: patternHash(pattern),
    order: 'gates and mask are [layer, kv_head]; windows is [sink, recent] in tokens',
    ...(pattern.model.hash === undefined ? {} : { model_hash: pattern.model.hash }),
    ...(cut === undefined ? {} : { retrieval_ratio: String(cut.retrievalRatio), sparsity: String(cut.sparsity) }),
  };
}

function encode(content: ExportContent): Uint8Array {
  let end = 0;
  const entries = entriesOf(content);
  const header: Record<string, unknown> = { __metadata__: metadataOf(content) };
  for (const { name, dtype, shape, values } of entries) header[name] = { dtype, shape, data_offsets: [end, (end += values.byteLength)] };
  const text = Buffer.from(JSON.stringify(header), 'utf8');
  const padded = Buffer.concat([text, Buffer.alloc((ALIGNMENT - (text.length % ALIGNMENT)) % ALIGNMENT, ' ')]);
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(padded.length));
  return Buffer.concat([length, padded, ...entries.map(({ values }) => littleEndian(values))]);
}

type Header = Readonly<Record<string, { readonly data_offsets: readonly [number, number] } | undefined>>;

function decode(bytes: Uint8Array): Arrays {
  const file = Buffer.from(bytes);
  const dataStart = 8 + Number(file.readBigUInt64LE());
  const header = JSON.parse(file.toString('utf8', 8, dataStart)) as Header;
  const data = (name: string): Buffer | undefined => {
    const offsets = header[name]?.data_offsets;
    return offsets === undefined ? undefined : file.subarray(dataStart + offsets[0], dataStart + offsets[1]);
  };
  return {
    gates: readFloat32(data('gates') ?? Buffer.of()),
    windows: readInt32(data('windows') ?? Buffer.of()),
    mask: data('mask'),
  };
}

export const safetensorsFormat: PatternFormat = {
  name: 'safetensors',
  writes: `${FILE}: gates F32 (layers, KV heads), windows I32 (2): sink, recent; with a cut mask BOOL (layers, KV heads)`,
  files: [FILE],
  write: (content) => new Map([[FILE, encode(content)]]),
  load: (folder) => [
    `tensors = safetensors.numpy.load_file("${folder}/${FILE}")  # gates[layer, kv_head], windows = sink, recent in tokens; recent counts the current one`,
  ],
  verify: (read, content) => compareArrays(decode(read(FILE)), content),
};
