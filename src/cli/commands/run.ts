/** `duo run`: a completion streamed from the hybrid cache, and with --compare from the dense one. */
import { existsSync, statSync } from 'node:fs';
import { uniformMask } from '../../cache/uniform-mask.js';
import { at, InputError, InterruptedError } from '../../errors.js';
import { agreementOf, complete, contextOf, warmUp } from '../../evaluate/complete.js';
import type { Agreement, Completed, Job } from '../../evaluate/complete.js';
import { prefillText } from '../../evaluate/row.js';
import { TextStream } from '../../evaluate/text-stream.js';
import type { Model } from '../../model/model.js';
import type { Mask } from '../../pattern/schema.js';
import { formatBytes, percent, thousands } from '../../report/format.js';
import { readBounded } from '../../untrusted.js';
import { defineCommand } from '../command.js';
import type { CommandResult, Io, Options } from '../command.js';
import { palette } from '../render.js';
import { openSubject, resolveOneCut, resolvedSettings, resolveRules, SUBJECT_FLAGS } from '../subject.js';
import type { Subject } from '../subject.js';
import { cutLines } from '../ui/cut-text.js';

const RUN_FLAGS = [...SUBJECT_FLAGS, 'prompt', 'chatTemplate', 'prefill', 'reference', 'maxNewTokens', 'stop', 'compare'] as const;

type RunOptions = Options<(typeof RUN_FLAGS)[number], 'maxNewTokens'>;

/** Largest prompt file, bytes: more text than any model here reads. */
const MAX_PROMPT_BYTES = 64 << 20;

export const runCommand = defineCommand({
  name: 'run',
  summary: 'complete a prompt from the hybrid cache, dense beside it with --compare',
  flags: RUN_FLAGS,
  defaults: { maxNewTokens: 128 },
  examples: [
    "duo run --pattern my-pattern --prompt 'The pass key is 61893. What is the pass key? The pass key is'",
    'duo run --pattern my-pattern --retrieval-ratio 0.25 --prompt story.txt --max-new-tokens 40 --compare',
  ],
  settings: (options) => resolvedSettings(options),
  run,
});

/** One of the caches a prompt is completed from. */
interface Side {
  readonly title: string;
  readonly mask: Mask;
}

type Titled = Completed & Pick<Side, 'title'>;

async function run(options: RunOptions, io: Io): Promise<CommandResult> {
  const text = readPrompt(options.prompt);
  const subject = await openSubject(options, io);
  const job = jobOf(options, subject, text);
  const cut = resolveOneCut(options, subject, contextOf(job));
  const hybrid = { title: `pattern ${percent(cut.retrievalRatio)}`, mask: cut.mask };
  const dense = { title: 'dense', mask: uniformMask(subject.model.config, 'retrieval') };
  await warmUp(job);
  const completed = await completeAll(job, options.compare === true ? [hybrid, dense] : [hybrid], io);
  for (const line of cutLines(cut)) io.note(`${line}\n`);
  return present(job, completed, io);
}

/** One after the other, each streamed to stdout. */
async function completeAll(job: Job, sides: readonly Side[], io: Io): Promise<Titled[]> {
  const completed: Titled[] = [];
  for (const { title, mask } of sides) {
    if (io.signal.aborted) break;
    if (sides.length > 1) io.write(`${palette(io.color).bold(title)}:\n`);
    const stream = new TextStream(io.write, job.stop);
    const onPrefill = (done: number, total: number): void => {
      stopIfAborted(io.signal);
      io.onProgress({ stage: 'reading the prompt', done, total, note: title });
    };
    const completion = await complete(job, mask, { onPrefill, onText: (text) => stream.update(text), signal: io.signal });
    stream.end(completion.text);
    io.write('\n');
    completed.push({ title, ...completion });
  }
  return completed;
}

/** The text itself, or what the file of that name holds. @throws InputError */
function readPrompt(prompt: string | undefined): string {
  if (prompt === undefined)
    throw new InputError({ code: 'prompt_option', what: 'no prompt was given', expected: '--prompt TEXT or --prompt FILE' });
  if (!existsSync(prompt) || !statSync(prompt).isFile()) return prompt;
  return readBounded(prompt, MAX_PROMPT_BYTES).toString('utf8');
}

function jobOf(options: RunOptions, { model, window }: Subject, text: string): Job {
  const ids = Int32Array.from(encodePrompt(model, text, options.chatTemplate === true));
  const job = {
    model,
    ids,
    window,
    ...resolveRules(options),
    maxNewTokens: options.maxNewTokens,
    stop: (options.stop ?? []).map(unescape),
  };
  const { maxPositions } = model.config;
  if (contextOf(job) > maxPositions) {
    throw new InputError({
      code: 'prompt_length',
      what: 'prompt and completion are longer than the model was made for',
      given: `${thousands(ids.length)} + ${thousands(options.maxNewTokens)} tokens`,
      expected: `at most ${thousands(maxPositions)}`,
      hint: 'a shorter prompt, or a smaller --max-new-tokens',
    });
  }
  return job;
}

function encodePrompt(model: Model, text: string, chat: boolean): number[] {
  const rendered = chat ? model.tokenizer.chat([{ role: 'user', content: text }], { addGenerationPrompt: true }) : undefined;
  if (chat && rendered === undefined) {
    throw new InputError({
      code: 'chat_template_missing',
      what: 'the tokenizer has no chat template',
      given: '--chat-template',
      hint: 'leave --chat-template out',
    });
  }
  // A template writes the special tokens itself.
  const ids = rendered === undefined ? model.tokenizer.encode(text, { specials: true }) : model.tokenizer.encode(rendered);
  if (ids.length === 0) throw new InputError({ code: 'prompt_empty', what: 'the prompt has no tokens', expected: 'some text' });
  return ids;
}

/** `\n` and `\t` as a shell passes them on. */
function unescape(text: string): string {
  return text.replaceAll('\\n', '\n').replaceAll('\\t', '\t');
}

function stopIfAborted(signal: AbortSignal): void {
  if (signal.aborted) throw new InterruptedError({ code: 'interrupted', what: 'stopped while reading the prompt' });
}

function present(job: Job, completions: readonly Titled[], io: Io): CommandResult {
  const { model, window, decodeWindow } = job;
  const promptTokens = job.ids.length;
  const agreement = completions.length === 2 ? agreementOf(at(completions, 0), at(completions, 1)) : undefined;
  for (const completion of completions) io.note(`${summaryLine(completion, promptTokens)}\n`);
  if (agreement !== undefined) io.note(`${agreementLine(agreement)}\n`);
  const subject = { model: model.id, device: model.device.description, ...window, prefill: prefillText(job.prefill), decodeWindow };
  return {
    json: { ...subject, promptTokens, contextTokens: contextOf(job), completions, ...(agreement ? { agreement } : {}) },
    text: '',
    exitCode: completions.some(({ endedBy }) => endedBy === 'interrupt') ? 130 : 0,
  };
}

function summaryLine(one: Titled, promptTokens: number): string {
  const decoding = one.decodeTokensPerSecond === null ? '' : ` at ${thousands(Math.round(one.decodeTokensPerSecond))} tokens/s`;
  return [
    `${one.title}: prompt of ${thousands(promptTokens)} tokens at ${thousands(Math.round(one.prefillTokensPerSecond))} tokens/s`,
    `${thousands(one.ids.length)} new tokens${decoding}, ended by ${one.endedBy}`,
    `cache ${formatBytes(one.cacheBytes)}`,
  ].join('; ');
}

function agreementLine({ sameTokens, identical }: Agreement): string {
  return identical ? 'both completions are the same' : `the completions agree for ${thousands(sameTokens)} tokens`;
}
