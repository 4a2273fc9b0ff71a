import { HybridCache } from '../../src/cache/hybrid-cache.js';
import type { WindowRule } from '../../src/cache/hybrid-cache.js';
import { decode } from '../../src/evaluate/decode.js';
import { prefill } from '../../src/evaluate/prefill.js';
import { forcedChoices, rightWords } from '../../src/evaluate/teacher-forced.js';
import { tokenizer } from '../helpers/duo-mini.js';
import { anyDevice } from '../helpers/each-device.js';
import { seededInts, seededMask, tinyModel } from '../helpers/tiny-model.js';

const device = anyDevice();
const model = tinyModel(device, 5);
const prompt = seededInts(6, 30, model.config.vocab);
const PROMPT_MODES = [{ mode: 'streaming' }, { mode: 'dense' }, { mode: 'chunked', chunkTokens: 11 }] as const;

async function filled(mode: (typeof PROMPT_MODES)[number], contextTokens: number) {
  const options = { mask: seededMask(7, model.config), window: { sink: 2, recent: 7 }, contextTokens };
  const cache = new HybridCache(device, model.config, options);
  return { cache, logits: await prefill(model, cache, prompt, { prefill: mode }) };
}

async function greedyIds(mode: (typeof PROMPT_MODES)[number], decodeWindow: WindowRule, count: number): Promise<Int32Array> {
  const { cache, logits } = await filled(mode, prompt.length + count);
  const { ids } = await decode(model, cache, logits, { maxNewTokens: count, decodeWindow, endTokens: [] });
  cache.free();
  return Int32Array.from(ids);
}

async function choices(
  mode: (typeof PROMPT_MODES)[number],
  decodeWindow: WindowRule,
  ids: Int32Array,
  answers: readonly { start: number; end: number }[],
) {
  const { cache, logits } = await filled(mode, prompt.length + ids.length);
  const chosen = await forcedChoices(model, cache, logits, { ids, answers }, { decodeWindow });
  cache.free();
  return chosen.map((one) => [...one]);
}

const RULES = ['exact', 'reference'] as const;
const CASES = PROMPT_MODES.flatMap((mode) => RULES.map((rule) => ({ mode, rule })));

test.each(CASES)('forcing the greedy answer chooses it at every token ($mode.mode prefill, $rule window)', async ({ mode, rule }) => {
  const ids = await greedyIds(mode, rule, 16);
  const answers = [
    { start: 0, end: 5 },
    { start: 8, end: 16 },
  ];
  expect(await choices(mode, rule, ids, answers)).toEqual(answers.map(({ start, end }) => [...ids.slice(start, end)]));
});

test('a wrong token is fed as it is, and does not hide what follows it', async () => {
  const ids = await greedyIds({ mode: 'streaming' }, 'exact', 8);
  const wrong = ids.slice();
  wrong[3] = ((ids[3] ?? 0) + 1) % model.config.vocab;
  const [chosen = []] = await choices({ mode: 'streaming' }, 'exact', wrong, [{ start: 0, end: 8 }]);
  expect(chosen.slice(0, 4)).toEqual([...ids.slice(0, 4)]);
});

test('a word counts when all of its tokens are right', () => {
  const ids = Int32Array.from(tokenizer.encode(' alpha quintessence zulu'));
  expect(ids.length).toBeGreaterThan(4);
  expect(rightWords(tokenizer, ids, ids)).toEqual({ right: 3, words: 3 });
  const chosen = ids.slice();
  chosen[2] = (chosen[2] ?? 0) + 1;
  expect(rightWords(tokenizer, ids, chosen)).toEqual({ right: 2, words: 3 });
  expect(
    rightWords(
      tokenizer,
      ids,
      ids.map((id) => id + 1),
    ),
  ).toEqual({ right: 0, words: 3 });
});
