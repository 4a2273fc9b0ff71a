/**
 * The one door to @huggingface/jinja. Its declarations do not resolve under Node's own module rules, so what is used of
 * it is described here.
 */
import * as library from '@huggingface/jinja';

/** A part of a parsed template. */
export interface TemplateNode {
  readonly type: string;
  /** Of a call: what is called. */
  readonly callee?: TemplateNode;
  /** Of a filter: its name, or a call of it. */
  readonly filter?: TemplateNode;
  /** Of a member: its name. */
  readonly property?: TemplateNode;
  /** Of an identifier: its text. */
  readonly value?: unknown;
}

/** A value while a template runs: a string, an array of values, a map of them, a number or a function. */
export interface TemplateValue {
  readonly type: string;
  readonly value: unknown;
}

export interface TemplateEnvironment {
  /** Declares a variable or a function. */
  set(name: string, value: unknown): unknown;
}

export interface TemplateInterpreter {
  run(program: TemplateNode): TemplateValue;
  /** Every part of a template is evaluated through this method. */
  evaluate(node: TemplateNode | undefined, environment: TemplateEnvironment): TemplateValue;
}

interface Jinja {
  readonly Environment: new () => TemplateEnvironment;
  readonly Interpreter: new (environment: TemplateEnvironment) => TemplateInterpreter;
  readonly tokenize: (template: string, options: { lstrip_blocks: boolean; trim_blocks: boolean }) => unknown;
  readonly parse: (tokens: unknown) => TemplateNode;
}

const jinja = library as unknown as Jinja;

export const { Environment, Interpreter } = jinja;

/** A template as transformers reads it: blocks take the line break after them and the spaces before them. */
export function parseTemplate(template: string): TemplateNode {
  return jinja.parse(jinja.tokenize(template, { lstrip_blocks: true, trim_blocks: true }));
}
