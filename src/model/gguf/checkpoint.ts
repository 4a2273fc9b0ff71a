/** A GGUF file as a checkpoint: what its tensors are called, and which weights lie in each. */
import { basename } from 'node:path';
import { InternalError } from '../../errors.js';
import type { Warn } from '../../errors.js';
import type { Checkpoint } from '../checkpoint.js';
import type { Family, Slot, StoredPart } from '../families.js';
import { readGgufConfig } from './config.js';
import { hasGgufTokenizer, tokenizerFromGguf } from '../tokenizer/from-gguf.js';
import { readGguf } from './read.js';
import { hubNameOf } from '../hub/name.js';
import { neededTensors, warnOfEndTokens } from '../needed-tensors.js';

const LAYER = 'blk.{layer}.';

/** Tensor names by the slots that lie in one (gguf-py/gguf/constants.py of llama.cpp). */
const NAMES: Readonly<Record<Slot | 'q+k+v' | 'gate+up', string>> = {
  embedding: 'token_embd.weight',
  finalNorm: 'output_norm.weight',
  head: 'output.weight',
  inputNorm: `${LAYER}attn_norm.weight`,
  q: `${LAYER}attn_q.weight`,
  k: `${LAYER}attn_k.weight`,
  v: `${LAYER}attn_v.weight`,
  o: `${LAYER}attn_output.weight`,
  qBias: `${LAYER}attn_q.bias`,
  kBias: `${LAYER}attn_k.bias`,
  vBias: `${LAYER}attn_v.bias`,
  oBias: `${LAYER}attn_output.bias`,
  qNorm: `${LAYER}attn_q_norm.weight`,
  kNorm: `${LAYER}attn_k_norm.weight`,
  attentionOutNorm: `${LAYER}post_attention_norm.weight`,
  mlpNorm: `${LAYER}ffn_norm.weight`,
  gate: `${LAYER}ffn_gate.weight`,
  up: `${LAYER}ffn_up.weight`,
  down: `${LAYER}ffn_down.weight`,
  gateBias: `${LAYER}ffn_gate.bias`,
  upBias: `${LAYER}ffn_up.bias`,
  downBias: `${LAYER}ffn_down.bias`,
  mlpOutNorm: `${LAYER}post_ffw_norm.weight`,
  'q+k+v': `${LAYER}attn_qkv.weight`,
  'gate+up': `${LAYER}ffn_up.weight`,
};

/** Rotary tables: the config has what they say. */
const IGNORED = [/^rope_freqs\.weight$/, /\.attn_rot_embd(\.weight)?$/];

/** Opens a GGUF file. @throws InputError when it is malformed, not supported, or lacks a part */
export function openGguf(path: string, warn: Warn): Checkpoint {
  const file = readGguf(path);
  const { family, layout, config, endTokens } = readGgufConfig(file);
  const search = {
    family: { ...family, ignored: IGNORED },
    parts: ggufParts(family),
    config,
    placed: new Map([...file.tensors].map(([name, tensor]) => [name, { ...tensor, file }])),
    source: path,
  };
  const tensors = neededTensors(search, [file], warn);
  warnOfEndTokens(endTokens, config, warn);
  return {
    path,
    id: hubNameOf(path) ?? basename(path).replace(/\.gguf$/i, ''),
    family,
    config,
    endTokens,
    files: [file],
    tensors,
    pairedRows: layout.pairedRows,
    hasTokenizer: hasGgufTokenizer(file.metadata),
    readTokenizer: () => tokenizerFromGguf(file.metadata, config.vocab, path),
  };
}

/** The family's stored tensors under the names that GGUF files have for them. */
function ggufParts(family: Family): readonly StoredPart[] {
  return family.tensors.map((part) => {
    const slots = part.slots.join('+');
    const name = Object.hasOwn(NAMES, slots) ? NAMES[slots as keyof typeof NAMES] : undefined;
    if (name === undefined) throw new InternalError(`GGUF files have no name for ${slots}`);
    return { ...part, name };
  });
}
