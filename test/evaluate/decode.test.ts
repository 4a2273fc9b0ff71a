import { HybridCache } from '../../src/cache/hybrid-cache.js';
import { decode } from '../../src/evaluate/decode.js';
import type { Completion, DecodeOptions } from '../../src/evaluate/decode.js';
import { prefill } from '../../src/evaluate/prefill.js';
import { anyDevice } from '../helpers/each-device.js';
import { seededInts, seededMask, tinyModel } from '../helpers/tiny-model.js';

const NEW_TOKENS = 12;
const model = tinyModel(anyDevice(), 11);
const prompt = seededInts(12, 20, model.config.vocab);

async function complete(options: Partial<DecodeOptions>, endTokens: readonly number[] = []): Promise<Completion> {
  const own = { ...model, endTokens };
  const shape = { mask: seededMask(13, model.config), window: { sink: 2, recent: 6 }, contextTokens: prompt.length + NEW_TOKENS };
  const cache = new HybridCache(model.device, model.config, shape);
  const logits = await prefill(own, cache, prompt, { prefill: { mode: 'streaming' } });
  const completion = await decode(own, cache, logits, { maxNewTokens: NEW_TOKENS, ...options });
  cache.free();
  return completion;
}

let free: Completion;
let fresh: number;
beforeAll(async () => {
  free = await complete({});
  // The first place, after the start, of a token that did not come before.
  fresh = free.ids.findIndex((id, i) => i > 0 && free.ids.indexOf(id) === i);
});

test('without an end, exactly as many tokens come as were asked for', () => {
  expect(free).toMatchObject({ endedBy: 'length', text: model.tokenizer.decode(free.ids) });
  expect(free.ids).toHaveLength(NEW_TOKENS);
});

test("any of the model's end tokens ends the answer and is no part of it", async () => {
  const end = free.ids[fresh] ?? -1;
  const never = [...Array(model.config.vocab).keys()].find((id) => !free.ids.includes(id)) ?? -1;
  const ended = await complete({}, [never, end]);
  expect(ended).toEqual({ ids: free.ids.slice(0, fresh), text: free.text.slice(0, fresh), endedBy: 'end token', endToken: end });
});

test('a stop text ends the answer before it, even across tokens', async () => {
  const stop = free.text.slice(fresh, fresh + 2);
  const stopped = await complete({ stop: ['never said', stop] });
  expect(stopped).toMatchObject({ endedBy: 'stop text', text: free.text.slice(0, free.text.indexOf(stop)) });
});

test('every token is reported with the text so far', async () => {
  const seen: [number, string][] = [];
  await complete({ onToken: (id, text) => seen.push([id, text]) });
  expect(seen).toEqual(free.ids.map((id, i) => [id, free.text.slice(0, i + 1)]));
});

test('an interrupt keeps what there is', async () => {
  const stop = new AbortController();
  const onToken = (_id: number, text: string): void => (text.length === 3 ? stop.abort() : undefined);
  expect(await complete({ onToken, signal: stop.signal })).toMatchObject({ endedBy: 'interrupt', ids: free.ids.slice(0, 3) });
});
