/**
 * A sample's text before it is tokenized: what stands before the haystack, the needles, what follows, question by
 * question. In a chat the same text is dealt out to turns: the haystack and the first question are the user's, each answer
 * the assistant's.
 */
import { at, InputError } from '../errors.js';
import { sha256 } from '../files.js';
import type { ChatMessage, Tokenizer } from '../model/model.js';
import type { Fact } from './facts.js';
import type { Task } from './task.js';

/** One question with its answer. */
export interface Turn {
  /** Text that belongs to what came before: not part of the question-and-answer block. */
  readonly before: string;
  /** From the end of the last answer to where the value begins. */
  readonly ask: string;
  readonly value: string;
}

export interface Script {
  readonly head: string;
  /** A needle's text in three: before the value, the value, after it. */
  readonly needles: readonly (readonly [before: string, value: string, after: string])[];
  readonly turns: readonly Turn[];
  /** What ends the last answer. */
  readonly tail: string;
  /** The text has its special tokens already, from the chat template. */
  readonly templated: boolean;
}

/** `keep`: a space before a value stays with the text before it, as the reference has it; `move`: the value begins with it. */
export type Spaces = 'keep' | 'move';

/** The script of `facts` (in the order they are hidden), of which `asked` (their numbers) are asked in this order. */
export function writeScript(task: Task, facts: readonly Fact[], asked: readonly number[], spaces: Spaces, chat?: Tokenizer): Script {
  const needles = facts.map((fact) => split(task.needle, fact, spaces));
  const questions = asked.map((number) => {
    const fact = at(facts, number);
    const [lead, value, end] = split(task.answer, fact, spaces);
    return { question: fill(task.question, fact), lead, value, end };
  });
  const dialogue = chat === undefined ? plain(task, questions) : templated(task, questions, chat);
  return { needles, ...dialogue };
}

interface Question {
  readonly question: string;
  readonly lead: string;
  readonly value: string;
  readonly end: string;
}

type Dialogue = Omit<Script, 'needles'>;

function plain(task: Task, questions: readonly Question[]): Dialogue {
  const turns = questions.map(({ question, lead, value }, index) => ({
    before: index === 0 ? task.after : '',
    ask: (questions[index - 1]?.end ?? '') + question + lead,
    value,
  }));
  return { head: task.before, turns, tail: questions.at(-1)?.end ?? '', templated: false };
}

function templated(task: Task, questions: readonly Question[], tokenizer: Tokenizer): Dialogue {
  const gaps = renderGaps(tokenizer, questions.length);
  const turns = questions.map(({ question, lead, value }, index) => {
    const [asUser, asAssistant] = [at(gaps, 2 * index), at(gaps, 2 * index + 1)];
    const opening = index === 0 ? '' : (questions[index - 1]?.end ?? '').trimEnd() + asUser;
    const first = index === 0 ? question.trimEnd() : question.trim();
    return { before: index === 0 ? task.after : '', ask: opening + first + asAssistant + lead.trimStart(), value };
  });
  const tail = (questions.at(-1)?.end ?? '').trimEnd() + at(gaps, 2 * questions.length);
  return { head: at(gaps, 0) + task.before.trimStart(), turns, tail, templated: true };
}

/** What the chat template puts before, between and after the contents of `turns` questions and answers. */
function renderGaps(tokenizer: Tokenizer, turns: number): string[] {
  // Private-use characters: no template trims or escapes them, and no text holds them.
  const marks = Array.from({ length: 2 * turns }, (_, index) => `\uE000${index}\uE001`);
  const messages = marks.map((content, index): ChatMessage => ({ role: index % 2 === 0 ? 'user' : 'assistant', content }));
  const rendered = tokenizer.chat(messages);
  if (rendered === undefined) {
    throw new InputError({
      code: 'chat_template_missing',
      what: 'the tokenizer has no chat template',
      given: '--chat-template',
      hint: 'leave --chat-template out, or take a model with a chat template',
    });
  }
  const gaps = rendered.split(/\uE000\d+\uE001/);
  const found = rendered.match(/\uE000\d+\uE001/g) ?? [];
  if (found.join() !== marks.join()) {
    throw new InputError({
      code: 'chat_template_odd',
      what: 'the chat template does not keep the messages as they are',
      hint: 'leave --chat-template out',
    });
  }
  return gaps;
}

const fingerprints = new WeakMap<Tokenizer, string>();

/** Short hash of what the chat template makes of a question and its answer. @throws InputError when there is no template. */
export function chatFingerprint(tokenizer: Tokenizer): string {
  let found = fingerprints.get(tokenizer);
  if (found === undefined) {
    found = sha256(JSON.stringify(renderGaps(tokenizer, 1))).slice(0, 16);
    fingerprints.set(tokenizer, found);
  }
  return found;
}

function split(template: string, fact: Fact, spaces: Spaces): [before: string, value: string, after: string] {
  const [before = '', after = ''] = template.split('{value}').map((text) => fill(text, fact));
  if (spaces === 'keep' || !before.endsWith(' ')) return [before, fact.value, after];
  return [before.slice(0, -1), ` ${fact.value}`, after];
}

function fill(template: string, fact: Fact): string {
  return template.replaceAll('{key}', () => fact.key);
}
