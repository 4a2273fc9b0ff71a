/**
 * Runs a stranger's chat template within bounds. A template is a program: it can loop for ever, double a string until
 * memory ends, or ask for a list of 10^9 numbers. Every part of it is evaluated through one method of the interpreter;
 * here that method counts the work and looks at the size of each value, so a template that explodes ends with an error.
 */
import { Interpreter } from './template-library.js';
import type { TemplateEnvironment, TemplateNode, TemplateValue } from './template-library.js';

export interface TemplateBounds {
  /** Parts evaluated, and characters and items of their values, at most; also characters that one step makes. */
  readonly work: number;
  /** Characters of a string and items of a list at most. */
  readonly size: number;
}

/** Operations whose result may be as large as the product of what they are given. */
const MULTIPLYING = new Set(['replace', 'join', 'indent', 'tojson']);
/** Largest number for such an operation: a width. */
const MAX_WIDTH = 64;

/** The two largest values that were evaluated for a part. */
interface Frame {
  readonly multiplies: boolean;
  largest: number;
  second: number;
}

export class BoundedInterpreter extends Interpreter {
  readonly #bounds: TemplateBounds;
  #work = 0;
  #frame: Frame = { multiplies: false, largest: 0, second: 0 };

  constructor(environment: TemplateEnvironment, bounds: TemplateBounds) {
    super(environment);
    this.#bounds = bounds;
  }

  /** @throws Error when a bound is passed. */
  override evaluate(node: TemplateNode | undefined, environment: TemplateEnvironment): TemplateValue {
    const outer = this.#frame;
    const frame: Frame = { multiplies: node !== undefined && MULTIPLYING.has(operationOf(node)), largest: 0, second: 0 };
    this.#frame = frame;
    let value: TemplateValue;
    try {
      value = super.evaluate(node, environment);
    } finally {
      // `break` and `continue` are errors inside the library.
      this.#frame = outer;
    }
    // A method is as large as the value it belongs to.
    this.#count(outer, value.type === 'FunctionValue' ? frame.largest : sizeOf(value), value.type);
    return value;
  }

  /** Adds a value to the work, and to what the part around it is given. */
  #count(outer: Frame, size: number, type: string): void {
    const bounds = this.#bounds;
    const isNumber = type === 'IntegerValue';
    if (isNumber && outer.multiplies && size > MAX_WIDTH) throw new Error(`a width of ${size}, the bound is ${MAX_WIDTH}`);
    if (!isNumber && size > bounds.size) throw new Error(`a value of ${size} characters or items, the bound is ${bounds.size}`);
    this.#work += isNumber ? 1 : 1 + size;
    if (this.#work > bounds.work) throw new Error(`it does not end: more than ${bounds.work} steps`);
    if (size > outer.largest) [outer.largest, outer.second] = [size, outer.largest];
    else outer.second = Math.max(outer.second, size);
    if (outer.multiplies && outer.largest * outer.second > bounds.work)
      throw new Error(`a value of ${outer.largest} times ${outer.second} characters, the bound is ${bounds.work}`);
  }
}

/** The filter or method that a part applies; empty for other parts. */
function operationOf(node: TemplateNode): string {
  const { callee, filter } = node;
  const name = filter === undefined ? callee?.property : (filter.callee ?? filter);
  return typeof name?.value === 'string' ? name.value : '';
}

/** Numbers count for their value: they are widths. */
function sizeOf({ value }: TemplateValue): number {
  if (typeof value === 'string' || Array.isArray(value)) return value.length;
  if (value instanceof Map) return value.size;
  return typeof value === 'number' ? Math.abs(value) : 0;
}
