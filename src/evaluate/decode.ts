/** Greedy decoding from a filled cache, one token at a time. */
import type { HybridCache, WindowRule } from '../cache/hybrid-cache.js';
import type { Tensor } from '../device/device.js';
import { at, InternalError } from '../errors.js';
import type { Model } from '../model/model.js';
import { breathe } from '../progress.js';
import { feed } from './feed.js';

export interface DecodeOptions {
  readonly maxNewTokens: number;
  /** `exact` (default): `recent` counts the current token. `reference`: sink + recent cached, plus the current token. */
  readonly decodeWindow?: WindowRule;
  /** Tokens that end the answer; default: all of the model's. */
  readonly endTokens?: readonly number[];
  /** Texts that end the answer; they are not part of it. */
  readonly stop?: readonly string[];
  /** Called with every token of the answer and the answer's text so far. */
  readonly onToken?: (id: number, text: string) => void;
  /** Called with the logits, (1, vocab), that chose each token. */
  readonly onLogits?: (logits: Tensor) => void;
  readonly signal?: AbortSignal;
}

export interface Completion {
  /** Ids generated, without the end token. */
  readonly ids: readonly number[];
  /** Their text, cut at the stop text. */
  readonly text: string;
  readonly endedBy: 'end token' | 'stop text' | 'length' | 'interrupt';
  /** End token chosen, when that ended it. */
  readonly endToken?: number;
}

/** Continues greedily from `logits` (1, vocab) of the last token fed, which are freed. */
export async function decode(model: Model, cache: HybridCache, logits: Tensor, options: DecodeOptions): Promise<Completion> {
  const { maxNewTokens, endTokens = model.endTokens, stop = [], decodeWindow = 'exact' } = options;
  const ids: number[] = [];
  let text = '';
  let next = logits;
  try {
    for (;;) {
      options.onLogits?.(next);
      const id = greedyChoice(model, next);
      if (endTokens.includes(id)) return { ids, text, endedBy: 'end token', endToken: id };
      ids.push(id);
      const found = model.tokenizer.decode(ids, { skipSpecials: true });
      const end = stopAt(found, stop);
      text = found.slice(0, end);
      options.onToken?.(id, text);
      if (end !== undefined) return { ids, text, endedBy: 'stop text' };
      if (ids.length === maxNewTokens) return { ids, text, endedBy: 'length' };
      await breathe();
      if (options.signal?.aborted) return { ids, text, endedBy: 'interrupt' };
      const spent = next;
      next = decodeStep(model, cache, id, decodeWindow);
      model.device.free(spent);
    }
  } finally {
    model.device.free(next);
  }
}

/** Feeds one token; the logits that follow it, (1, vocab). */
export function decodeStep(model: Model, cache: HybridCache, id: number, rule: WindowRule): Tensor {
  const logits = feed(model, cache, Int32Array.of(id), rule, [0]);
  if (logits === undefined) throw new InternalError('a decode step gave no logits');
  return logits;
}

function greedyChoice(model: Model, logits: Tensor): number {
  const index = model.device.argmax(logits);
  const id = at(model.device.downloadInts(index), 0);
  model.device.free(index);
  return id;
}

/** Where the first of the stop texts begins. */
function stopAt(text: string, stop: readonly string[]): number | undefined {
  const found = stop.map((word) => text.indexOf(word)).filter((index) => index >= 0);
  return found.length === 0 ? undefined : Math.min(...found);
}
