/**
 * A dump of several prompts: `<prompt>.ids` with `.logits_lastN`, `.hidden_lastN`, `.layers_last` (every layer's output at
 * the last position) and `.greedyN`, and under `deploy_` the same with the retrieval heads of `deploy.mask`, the others
 * streaming from the first token (sink and recent in the metadata).
 */
import { HybridCache } from '../cache/hybrid-cache.js';
import { uniformMask } from '../cache/uniform-mask.js';
import type { Tensor } from '../device/device.js';
import { at } from '../errors.js';
import { prefill } from '../evaluate/prefill.js';
import { forward } from '../model/forward.js';
import { logits } from '../model/layer.js';
import type { Mask } from '../pattern/schema.js';
import { compareFloats, compareIds, RESIDUAL_RULE } from './compare.js';
import { continueGreedily, downloadRows, take } from './context.js';
import type { DumpKind, VerifyContext } from './context.js';
import type { Dump } from './dump.js';

const VALUE = /^(.+)\.(?:deploy_)?(?:logits_last\d+|hidden_last\d+|layers_last|greedy\d+)$/;

/** One prompt under one mask: tensors `<prefix>logits_last16`, ... */
interface Variant {
  readonly prefix: string;
  readonly ids: Int32Array;
  readonly mask: Mask;
  readonly window: { readonly sink: number; readonly recent: number };
}

export const promptDump: DumpKind = {
  name: 'prompts',
  recognises: (dump) => promptsOf(dump).length > 0,
  compare: async (context) => {
    const { model, dump } = context;
    for (const prompt of promptsOf(dump)) {
      const ids = dump.ids(`${prompt}.ids`, model.config.vocab);
      const dense = { ids, mask: uniformMask(model.config, 'retrieval'), window: { sink: 0, recent: 1 } };
      await compareVariant(context, { ...dense, prefix: `${prompt}.` });
      if (dump.has('deploy.mask')) await compareVariant(context, { ids, ...readDeployed(context), prefix: `${prompt}.deploy_` });
    }
  },
};

function promptsOf(dump: Dump): string[] {
  const prompts = dump.matches(VALUE).map(({ match }) => at(match, 1));
  return [...new Set(prompts)].filter((prompt) => dump.has(`${prompt}.ids`));
}

function readDeployed({ dump, model }: VerifyContext): Pick<Variant, 'mask' | 'window'> {
  const mask = dump.mask('deploy.mask', model.config.layers, model.config.kvHeads);
  return { mask, window: { sink: dump.number('sink'), recent: dump.number('recent') } };
}

async function compareVariant(context: VerifyContext, variant: Variant): Promise<void> {
  const { dump } = context;
  const found = (kind: string) => dump.matches(new RegExp(`^${escaped(variant.prefix)}${kind}$`)).map(({ name }) => name);
  const [states, layers, greedy] = [found('(?:logits|hidden)_last\\d+'), found('layers_last'), found('greedy\\d+')];
  if (states.length + layers.length > 0) compareStates(context, variant, states, layers.length > 0);
  context.check();
  for (const name of greedy) await compareGreedy(context, variant, name);
}

/** Logits, hidden states and layers of one forward over all of the prompt. */
function compareStates(context: VerifyContext, variant: Variant, states: readonly string[], withLayers: boolean): void {
  const { model, dump } = context;
  const { hidden, layersLast } = forwardWith(context, variant);
  for (const name of states) {
    const golden = dump.floats(name);
    // A prompt shorter than the name says has all of its tokens there.
    const count = Math.min(golden.shape[0] ?? 0, variant.ids.length);
    const rows = model.device.sliceRows(hidden, variant.ids.length - count, count);
    const values = name.includes('logits_last') ? take(model, logits(model, rows)) : model.device.download(rows);
    model.device.free(rows);
    context.add(compareFloats(golden, values, context.rule));
  }
  model.device.free(hidden);
  if (withLayers) context.add(compareFloats(dump.floats(`${variant.prefix}layers_last`), layersLast, RESIDUAL_RULE));
}

/** The dense variant takes calibration's causal attention, the deployed one a hybrid cache. */
function forwardWith(context: VerifyContext, { ids, mask, window }: Variant): { hidden: Tensor; layersLast: Float32Array } {
  const { model } = context;
  const rows: number[] = [];
  const visit = ({ out }: { readonly out: Tensor }): void => {
    rows.push(...downloadRows(model, out, ids.length - 1, 1));
    context.check();
  };
  if (!mask.flat().includes(false)) return { hidden: forward(model, ids, { visit }), layersLast: Float32Array.from(rows) };
  const cache = new HybridCache(model.device, model.config, { mask, window, contextTokens: ids.length });
  try {
    const hidden = forward(model, ids, { visit, attend: (layer, { q, k, v }) => cache.attend(layer, q, { k, v }, 'exact') });
    return { hidden, layersLast: Float32Array.from(rows) };
  } finally {
    cache.free();
  }
}

async function compareGreedy(context: VerifyContext, { ids, mask, window }: Variant, name: string): Promise<void> {
  const { model, dump } = context;
  const golden = dump.ints(name);
  const count = golden.values.length;
  const cache = new HybridCache(model.device, model.config, { mask, window, contextTokens: ids.length + count });
  try {
    const first = await prefill(model, cache, ids, { prefill: { mode: 'streaming' }, onChunk: context.check });
    const greedy = await continueGreedily(context, cache, first, count);
    context.add(compareIds(golden, greedy.ids));
  } finally {
    cache.free();
  }
}

function escaped(text: string): string {
  return text.replaceAll(/[\\^$.*+?()[\]{}|]/g, '\\$&');
}
