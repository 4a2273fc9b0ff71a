/**
 * A dump of one full forward: `input_ids` with `logits`, `final_hidden`, keys and values of the first and last positions
 * (`k.l.first`, `k.l.last`, `v.l.first`, `v.l.last`), `layer_hidden_last` (the embedding, then each layer's output at the
 * last position), and a greedy continuation of the first 120 ids.
 */
import { HybridCache } from '../cache/hybrid-cache.js';
import type { Tensor } from '../device/device.js';
import { prefill } from '../evaluate/prefill.js';
import { forward } from '../model/forward.js';
import type { LayerVisit } from '../model/forward.js';
import { logits } from '../model/layer.js';
import { compareFloats, compareIds } from './compare.js';
import { continueGreedily, downloadRows, take } from './context.js';
import type { DumpKind, VerifyContext } from './context.js';

/** Tokens that greedy continuations of these dumps start from. */
export const PROMPT_TOKENS = 120;

export const forwardDump: DumpKind = {
  name: 'forward',
  recognises: (dump) => dump.has('input_ids'),
  compare: async (context) => {
    const ids = context.dump.ids('input_ids', context.model.config.vocab);
    compareOneForward(context, ids);
    if (context.dump.has('greedy.ids') && ids.length >= PROMPT_TOKENS) await compareGreedy(context, ids.subarray(0, PROMPT_TOKENS));
  },
};

function compareOneForward(context: VerifyContext, ids: Int32Array): void {
  const { model } = context;
  const last: Float32Array[] = [];
  const hidden = forward(model, ids, {
    visit: (layer) => {
      if (layer.layer === 0) last.push(downloadRows(model, layer.x, ids.length - 1, 1));
      last.push(downloadRows(model, layer.out, ids.length - 1, 1));
      compareKeyValues(context, layer, ids.length);
      context.check();
    },
  });
  compareIfPresent(context, 'logits', () => take(model, logits(model, hidden)));
  compareIfPresent(context, 'final_hidden', () => model.device.download(hidden));
  compareIfPresent(context, 'layer_hidden_last', () => Float32Array.from(last.flatMap((row) => [...row])));
  model.device.free(hidden);
}

function compareKeyValues(context: VerifyContext, layer: LayerVisit, tokens: number): void {
  for (const kind of ['k', 'v'] as const)
    for (const end of ['first', 'last'] as const) {
      const name = `${kind}.${layer.layer}.${end}`;
      if (!context.dump.has(name)) continue;
      const golden = context.dump.floats(name); // (kvHeads, positions, headDim)
      const positions = Math.min(golden.shape[1] ?? 0, tokens);
      const start = end === 'first' ? 0 : tokens - positions;
      context.add(compareFloats(golden, headMajor(context, layer[kind], start, positions), context.rule));
    }
}

/** Rows of a (tokens, kvHeads, headDim) tensor as (kvHeads, rows, headDim). */
function headMajor({ model }: VerifyContext, x: Tensor, start: number, rows: number): Float32Array {
  const { kvHeads, headDim } = model.config;
  const values = downloadRows(model, x, start, rows);
  const moved = new Float32Array(values.length);
  for (let row = 0; row < rows; row++)
    for (let head = 0; head < kvHeads; head++) {
      const from = (row * kvHeads + head) * headDim;
      moved.set(values.subarray(from, from + headDim), (head * rows + row) * headDim);
    }
  return moved;
}

async function compareGreedy(context: VerifyContext, prompt: Int32Array): Promise<void> {
  const { model, dump } = context;
  const golden = dump.ints('greedy.ids');
  const count = golden.values.length;
  const cache = HybridCache.dense(model.device, model.config, prompt.length + count);
  try {
    const first = await prefill(model, cache, prompt, { prefill: { mode: 'streaming' } });
    const greedy = await continueGreedily(context, cache, first, count);
    context.add(compareIds(golden, greedy.ids));
    compareIfPresent(context, 'greedy.logits', () => greedy.logits);
  } finally {
    cache.free();
  }
}

function compareIfPresent(context: VerifyContext, name: string, actual: () => Float32Array): void {
  if (context.dump.has(name)) context.add(compareFloats(context.dump.floats(name), actual(), context.rule));
}
