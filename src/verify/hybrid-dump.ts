/**
 * A dump of hybrid heads: `mask` with logits and greedy continuations under each prefill and decode window. Its input is
 * `input_ids` of `../golden.safetensors`, sink and recent are in the metadata, prompts are the first 120 ids.
 */
import { dirname, join } from 'node:path';
import { HybridCache } from '../cache/hybrid-cache.js';
import type { WindowRule } from '../cache/hybrid-cache.js';
import { uniformMask } from '../cache/uniform-mask.js';
import type { Prefill } from '../config/values.js';
import { InputError } from '../errors.js';
import { prefill } from '../evaluate/prefill.js';
import { positionsFrom } from '../model/rope.js';
import type { Mask } from '../pattern/schema.js';
import { compareFloats, compareIds } from './compare.js';
import { continueGreedily, take } from './context.js';
import type { DumpKind, VerifyContext } from './context.js';
import { Dump } from './dump.js';
import { PROMPT_TOKENS } from './forward-dump.js';

/** Chunk of the `chunked.*` tensors, tokens. */
const CHUNK_TOKENS = 40;

interface GreedyRow {
  /** Tensors `<name>.greedy_ids` and `<name>.greedy_logits`. */
  readonly name: string;
  readonly prefill: Prefill;
  readonly decode: WindowRule;
}

const chunked = { mode: 'chunked', chunkTokens: CHUNK_TOKENS } as const;

const GREEDY_ROWS: readonly GreedyRow[] = [
  { name: 'exact', prefill: { mode: 'streaming' }, decode: 'exact' },
  { name: 'dense.ref', prefill: { mode: 'dense' }, decode: 'reference' },
  { name: 'dense.exact', prefill: { mode: 'dense' }, decode: 'exact' },
  { name: 'chunked.ref', prefill: chunked, decode: 'reference' },
  { name: 'chunked.exact', prefill: chunked, decode: 'exact' },
  { name: 'full', prefill: { mode: 'dense' }, decode: 'exact' },
];

interface Setup {
  readonly ids: Int32Array;
  readonly mask: Mask;
  readonly window: { readonly sink: number; readonly recent: number };
}

export const hybridDump: DumpKind = {
  name: 'hybrid heads',
  recognises: (dump) => dump.has('mask'),
  compare: async (context) => {
    const { model, dump } = context;
    const setup = {
      ids: readInput(context),
      mask: dump.mask('mask', model.config.layers, model.config.kvHeads),
      window: { sink: dump.number('sink'), recent: dump.number('recent') },
    };
    await compareLogits(context, setup, 'exact.logits', { mode: 'streaming' }, setup.ids.length);
    await compareLogits(context, setup, 'chunked.prefill_logits', chunked, PROMPT_TOKENS);
    for (const { name, match } of dump.matches(/^chunked([1-9]\d*)\.prefill_logits_last([1-9]\d*)$/))
      await compareLogits(context, setup, name, { mode: 'chunked', chunkTokens: Number(match[1]) }, PROMPT_TOKENS, Number(match[2]));
    for (const row of GREEDY_ROWS) await compareGreedy(context, setup, row);
  },
};

function readInput({ dump, model }: VerifyContext): Int32Array {
  const path = join(dirname(dump.path), '..', 'golden.safetensors');
  const ids = Dump.open(path).ids('input_ids', model.config.vocab);
  if (ids.length < PROMPT_TOKENS)
    throw new InputError({
      code: 'golden_tensor',
      what: `input_ids holds ${ids.length} ids`,
      given: path,
      expected: `at least ${PROMPT_TOKENS}`,
    });
  return ids;
}

/** Logits of the last `last` of the first `tokens` positions. */
async function compareLogits(
  context: VerifyContext,
  setup: Setup,
  name: string,
  mode: Prefill,
  tokens: number,
  last = tokens,
): Promise<void> {
  const { model, dump } = context;
  if (!dump.has(name)) return;
  const cache = new HybridCache(model.device, model.config, { ...setup, contextTokens: tokens });
  try {
    const first = Math.max(0, tokens - last);
    const positions = [...positionsFrom(first, tokens - first)];
    const logits = await prefill(model, cache, setup.ids.subarray(0, tokens), { prefill: mode, positions, onChunk: context.check });
    context.add(compareFloats(dump.floats(name), take(model, logits), context.rule));
  } finally {
    cache.free();
  }
}

async function compareGreedy(context: VerifyContext, setup: Setup, row: GreedyRow): Promise<void> {
  const { model, dump } = context;
  const [idsName, logitsName] = [`${row.name}.greedy_ids`, `${row.name}.greedy_logits`];
  if (!dump.has(idsName)) return;
  const golden = dump.ints(idsName);
  const count = golden.values.length;
  const mask = row.name === 'full' ? uniformMask(model.config, 'retrieval') : setup.mask;
  const cache = new HybridCache(model.device, model.config, { mask, window: setup.window, contextTokens: PROMPT_TOKENS + count });
  try {
    const first = await prefill(model, cache, setup.ids.subarray(0, PROMPT_TOKENS), { prefill: row.prefill, onChunk: context.check });
    const greedy = await continueGreedily(context, cache, first, count, row.decode);
    context.add(compareIds(golden, greedy.ids));
    if (dump.has(logitsName)) context.add(compareFloats(dump.floats(logitsName), greedy.logits, context.rule));
  } finally {
    cache.free();
  }
}
