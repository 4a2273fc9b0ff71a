/**
 * Chat templates through @huggingface/jinja, in the environment that transformers gives them
 * (https://github.com/huggingface/transformers/blob/main/src/transformers/utils/chat_template_utils.py), within bounds.
 */
import { InputError } from '../../errors.js';
import { BoundedInterpreter } from './bounded-interpreter.js';
import type { TemplateBounds } from './bounded-interpreter.js';
import type { ChatMessage } from '../model.js';
import { Environment, parseTemplate } from './template-library.js';
import { runWithin } from '../../time-limit.js';

/** Renders messages; `addGenerationPrompt` begins the answer. @throws InputError when the template refuses or explodes. */
export type ChatTemplate = (messages: readonly ChatMessage[], addGenerationPrompt: boolean) => string;

/** The special tokens that templates name, by the names they use. */
export interface SpecialTexts {
  readonly bos_token?: string | undefined;
  readonly eos_token?: string | undefined;
  readonly pad_token?: string | undefined;
  readonly unk_token?: string | undefined;
}

/** Characters; the longest templates of well-known models have about 20,000. */
const MAX_TEMPLATE = 1 << 18;
/** What a template may do besides its messages, and for each character of them. */
const BASE_WORK = 1 << 24;
const WORK_PER_CHARACTER = 64;
const BASE_SIZE = 1 << 20;
const SIZE_PER_CHARACTER = 4;
const MAX_RANGE = 1 << 16;
/** For what happens inside one step, such as writing nested lists. */
const BASE_MS = 500;
const CHARACTERS_PER_MS = 500;

/** @throws InputError when the template is larger than any model's. */
export function chatTemplate(template: string, specials: SpecialTexts, path: string): ChatTemplate {
  const fail = (what: string, cause?: unknown): InputError =>
    new InputError({ code: 'chat_template', what, given: path, ...(cause === undefined ? {} : { cause }) });
  if (template.length > MAX_TEMPLATE) throw fail(`the chat template has ${template.length} characters, expected at most ${MAX_TEMPLATE}`);
  return (messages, addGenerationPrompt) => {
    const characters = messages.reduce((sum, { content }) => sum + content.length, 0);
    const bounds = { work: BASE_WORK + WORK_PER_CHARACTER * characters, size: BASE_SIZE + SIZE_PER_CHARACTER * characters };
    const variables = {
      ...Object.fromEntries(Object.entries(specials).filter(([, text]) => text !== undefined)),
      messages: messages.map(({ role, content }) => ({ role, content })),
      add_generation_prompt: addGenerationPrompt,
    };
    try {
      return runWithin(BASE_MS + Math.ceil(characters / CHARACTERS_PER_MS), () => render(template, variables, bounds));
    } catch (cause) {
      throw fail(`the chat template cannot be rendered: ${(cause as Error).message}`, cause);
    }
  };
}

function render(template: string, variables: Readonly<Record<string, unknown>>, bounds: TemplateBounds): string {
  const environment = new Environment();
  for (const [name, value] of Object.entries({ ...CONSTANTS, ...variables })) environment.set(name, value);
  return String(new BoundedInterpreter(environment, bounds).run(parseTemplate(template)).value);
}

/** What every template may use. transformers passes tools and documents as none, and templates ask. */
const CONSTANTS = {
  true: true,
  false: false,
  none: null,
  True: true,
  False: false,
  None: null,
  tools: null,
  documents: null,
  range: boundedRange,
  raise_exception: (message: unknown): never => {
    throw new Error(String(message));
  },
  strftime_now: (format: unknown): string => formatTime(String(format), new Date()),
};

/** Python's `range`, of at most MAX_RANGE numbers. */
function boundedRange(first: number, second?: number, step = 1): number[] {
  const [start, stop] = second === undefined ? [0, first] : [first, second];
  const count = Math.max(0, Math.ceil((stop - start) / step));
  if (!(count <= MAX_RANGE)) throw new Error(`range of ${count} numbers, the bound is ${MAX_RANGE}`);
  return Array.from({ length: count }, (_, index) => start + index * step);
}

const MONTHS = 'January February March April May June July August September October November December'.split(' ');
const DAYS = 'Sunday Monday Tuesday Wednesday Thursday Friday Saturday'.split(' ');
const digits = (value: number, count = 2): string => String(value).padStart(count, '0');
const month = (time: Date): string => MONTHS[time.getMonth()] ?? '';
const day = (time: Date): string => DAYS[time.getDay()] ?? '';

/** Python's strftime in the C locale: what templates ask for. */
const TIME_FORMATS: Readonly<Record<string, (time: Date) => string>> = {
  Y: (time) => digits(time.getFullYear(), 4),
  y: (time) => digits(time.getFullYear() % 100),
  m: (time) => digits(time.getMonth() + 1),
  d: (time) => digits(time.getDate()),
  B: month,
  b: (time) => month(time).slice(0, 3),
  A: day,
  a: (time) => day(time).slice(0, 3),
  H: (time) => digits(time.getHours()),
  I: (time) => digits(time.getHours() % 12 || 12),
  p: (time) => (time.getHours() < 12 ? 'AM' : 'PM'),
  M: (time) => digits(time.getMinutes()),
  S: (time) => digits(time.getSeconds()),
  '%': () => '%',
};

/** `time` written as `format` says, such as `%d %b %Y`; an unknown letter is left as it is. */
export function formatTime(format: string, time: Date): string {
  return format.replace(
    /%([A-Za-z%])/g,
    (whole, letter: string) => (Object.hasOwn(TIME_FORMATS, letter) ? TIME_FORMATS[letter] : undefined)?.(time) ?? whole,
  );
}
