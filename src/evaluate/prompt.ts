/** One prompt for several caches: a dense prefill, which does not depend on the mask, is computed once and cut for each of them. */
import { HybridCache } from '../cache/hybrid-cache.js';
import type { Prefill } from '../config/values.js';
import type { Tensor } from '../device/device.js';
import type { Model } from '../model/model.js';
import { prefill } from './prefill.js';

export interface PromptOptions {
  readonly prefill: Prefill;
  readonly contextTokens: number;
  /** Called between chunks; it may throw to stop. */
  readonly onChunk: () => void;
}

interface Dense {
  readonly cache: HybridCache;
  readonly logits: Tensor; // (1, vocab)
}

export class Prompt {
  readonly #model: Model;
  readonly #ids: Int32Array;
  readonly #options: PromptOptions;
  #dense: Dense | undefined;

  constructor(model: Model, ids: Int32Array, options: PromptOptions) {
    this.#model = model;
    this.#ids = ids;
    this.#options = options;
  }

  /** Fills an empty cache; the logits of the last token, (1, vocab), which are the caller's. */
  async fill(cache: HybridCache): Promise<Tensor> {
    if (this.#options.prefill.mode !== 'dense') return prefill(this.#model, cache, this.#ids, this.#options);
    this.#dense ??= await this.#fillDense();
    cache.fillFrom(this.#dense.cache);
    return this.#model.device.sliceRows(this.#dense.logits, 0, 1);
  }

  free(): void {
    if (this.#dense === undefined) return;
    this.#dense.cache.free();
    this.#model.device.free(this.#dense.logits);
    this.#dense = undefined;
  }

  async #fillDense(): Promise<Dense> {
    const cache = HybridCache.dense(this.#model.device, this.#model.config, this.#options.contextTokens);
    try {
      // In a cache of full heads only, every mode that is exact is dense.
      const logits = await prefill(this.#model, cache, this.#ids, { ...this.#options, prefill: { mode: 'streaming' } });
      return { cache, logits };
    } catch (error) {
      cache.free();
      throw error;
    }
  }
}
