/** One sample, one variant: fill the cache, get the answer, score it. */
import { performance } from 'node:perf_hooks';
import { HybridCache } from '../cache/hybrid-cache.js';
import type { CacheOptions, WindowRule } from '../cache/hybrid-cache.js';
import type { Needle, Question } from '../data/needle.js';
import type { Tensor } from '../device/device.js';
import { at } from '../errors.js';
import type { Model } from '../model/model.js';
import { decode } from './decode.js';
import type { Prompt } from './prompt.js';
import type { EvaluationRow } from './row.js';
import { containsValue, isStrictlyRight } from './score.js';
import { forcedChoices, rightWords } from './teacher-forced.js';
import type { Continuation } from './teacher-forced.js';

export interface AnswerOptions extends CacheOptions {
  readonly decodeWindow: WindowRule;
  /** Most tokens to generate where one question is asked. */
  readonly maxNewTokens: number;
  readonly onChunk: () => void;
}

/** The part of a row that comes from the model. */
export type Answered = Pick<
  EvaluationRow,
  'scoring' | 'scores' | 'answers' | 'expected' | 'endedBy' | 'promptTokens' | 'answerTokens' | 'cacheBytes' | 'prefillMs' | 'answerMs'
>;

type Outcome = Pick<Answered, 'scoring' | 'scores' | 'answers' | 'endedBy' | 'answerTokens'>;

/** Answers a needle from a hybrid cache: greedily where it asks one question, else teacher-forced. */
export async function answer(model: Model, needle: Needle, prompt: Prompt, options: AnswerOptions): Promise<Answered> {
  const cache = new HybridCache(model.device, model.config, options);
  try {
    const start = performance.now();
    const logits = await prompt.fill(cache);
    const filled = performance.now();
    const questions = [needle, ...needle.followUps];
    const outcome = await (questions.length === 1 ? greedy : forced)(model, cache, logits, questions, options);
    return {
      ...outcome,
      expected: questions.map((question) => question.answer),
      promptTokens: needle.ids.length,
      cacheBytes: cache.bytes,
      prefillMs: filled - start,
      answerMs: performance.now() - filled,
    };
  } finally {
    cache.free();
  }
}

async function greedy(
  model: Model,
  cache: HybridCache,
  logits: Tensor,
  questions: readonly Question[],
  options: AnswerOptions,
): Promise<Outcome> {
  const { answer: value } = at(questions, 0);
  const { text, ids, endedBy } = await decode(model, cache, logits, {
    maxNewTokens: options.maxNewTokens,
    decodeWindow: options.decodeWindow,
    onToken: options.onChunk,
  });
  const scores = { strict: Number(isStrictlyRight(text, value)), substring: Number(containsValue(text, value)), words: null };
  return { scoring: 'greedy', scores, answers: [text], endedBy, answerTokens: ids.length };
}

async function forced(
  model: Model,
  cache: HybridCache,
  logits: Tensor,
  questions: readonly Question[],
  options: AnswerOptions,
): Promise<Outcome> {
  const continuation = continuationOf(questions);
  const chosen = await forcedChoices(model, cache, logits, continuation, options);
  const counts = questions.map((question, i) => rightWords(model.tokenizer, question.answerIds, at(chosen, i)));
  const right = counts.reduce((sum, count) => sum + count.right, 0);
  const words = counts.reduce((sum, count) => sum + count.words, 0);
  return {
    scoring: 'teacher-forced',
    scores: { strict: Number(right === words), substring: null, words: right / words },
    answers: chosen.map((ids) => model.tokenizer.decode([...ids]).trim()),
    endedBy: null,
    answerTokens: chosen.reduce((sum, ids) => sum + ids.length, 0),
  };
}

/** Everything after the first question: answers and follow-ups in order. */
function continuationOf(questions: readonly Question[]): Continuation {
  const pieces = questions.flatMap((question, i) => [...(i === 0 ? [] : [question.ids]), question.answerIds]);
  const ids = Int32Array.from(pieces.flatMap((piece) => [...piece]));
  let end = 0;
  const answers = questions.map((question, i) => {
    const start = end + (i === 0 ? 0 : question.ids.length);
    end = start + question.answerIds.length;
    return { start, end };
  });
  return { ids, answers };
}
