/** A loaded model: configuration, tokenizer, and weights on a device. */
import type { Device, Tensor } from '../device/device.js';
import type { ModelConfig } from './config.js';

/** Weights of one decoder layer; matrices are (out, in). What a family has not is absent. */
export interface LayerWeights {
  /** Before attention. */
  readonly inputNorm?: Tensor; // (hidden)
  readonly q: Tensor; // (queryHeads * headDim, hidden)
  readonly k: Tensor; // (kvHeads * headDim, hidden)
  readonly v: Tensor; // (kvHeads * headDim, hidden)
  readonly o: Tensor; // (hidden, queryHeads * headDim)
  readonly qBias?: Tensor; // (queryHeads * headDim)
  readonly kBias?: Tensor; // (kvHeads * headDim)
  readonly vBias?: Tensor; // (kvHeads * headDim)
  readonly oBias?: Tensor; // (hidden)
  /** Of queries and keys, before rope: over each head, or over all together. */
  readonly qNorm?: Tensor; // (headDim) or (queryHeads * headDim)
  readonly kNorm?: Tensor; // (headDim) or (kvHeads * headDim)
  /** Of what attention gives. */
  readonly attentionOutNorm?: Tensor; // (hidden)
  /** Before the MLP. */
  readonly mlpNorm?: Tensor; // (hidden)
  readonly gate: Tensor; // (intermediate, hidden)
  readonly up: Tensor; // (intermediate, hidden)
  readonly down: Tensor; // (hidden, intermediate)
  readonly gateBias?: Tensor; // (intermediate)
  readonly upBias?: Tensor; // (intermediate)
  readonly downBias?: Tensor; // (hidden)
  /** Of what the MLP gives. */
  readonly mlpOutNorm?: Tensor; // (hidden)
}

export interface Weights {
  readonly embedding: Tensor; // (vocab, hidden)
  readonly layers: readonly LayerWeights[];
  readonly finalNorm: Tensor; // (hidden)
  readonly head: Tensor; // (vocab, hidden); the embedding itself when tied
}

/** Text to token ids and back. */
export interface Tokenizer {
  readonly vocab: number;
  /** Ids of `text`; special tokens written in the text are recognised. `specials`: add what the post-processor adds (BOS). */
  encode(text: string, options?: { readonly specials?: boolean }): number[];
  decode(ids: readonly number[], options?: { readonly skipSpecials?: boolean }): string;
  /** Renders the chat template; undefined when the tokenizer has none. */
  chat(messages: readonly ChatMessage[], options?: { readonly addGenerationPrompt?: boolean }): string | undefined;
}

export interface ChatMessage {
  readonly role: 'system' | 'user' | 'assistant';
  readonly content: string;
}

export interface Model {
  /** Name for people and artefacts: the directory's name, or the hub id. */
  readonly id: string;
  /** SHA-256 over the weight files, hex. */
  readonly hash: string;
  readonly config: ModelConfig;
  readonly tokenizer: Tokenizer;
  /** Every id that ends a generation (generation_config, else config). */
  readonly endTokens: readonly number[];
  readonly device: Device;
  readonly weights: Weights;
  readonly weightBytes: number;
}
