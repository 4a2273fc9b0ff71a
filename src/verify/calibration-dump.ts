/**
 * A dump of calibration: `one.*`, a single sample with its losses and gate gradients for both meanings of the full branch,
 * and `steps.*`, the gates after each of a few AdamW steps on given samples.
 */
import { adamStep, initialAdam } from '../calibrate/adamw.js';
import { clamped, flatten, initialGates, unflatten } from '../calibrate/gates.js';
import type { Gates } from '../calibrate/gates.js';
import { regularization, regularizationGradient } from '../calibrate/loss.js';
import { indicesOf } from '../calibrate/sample.js';
import { twoWayForward, twoWayStep } from '../calibrate/two-way.js';
import type { TwoWayOptions } from '../calibrate/two-way.js';
import { at, InputError } from '../errors.js';
import { positionsFrom } from '../model/rope.js';
import { breathe } from '../progress.js';
import { compareFloats, GATE_RULE, gradientRule, LOSS_RULE } from './compare.js';
import type { Rule } from './compare.js';
import { take } from './context.js';
import type { DumpKind, VerifyContext } from './context.js';

/** Weight of mean |gate| where the metadata names none. */
const REGULARIZATION = 0.05;

const BRANCHES = [
  { name: 'teacher_full', fullBranch: 'teacher' },
  { name: 'own_full', fullBranch: 'own' },
] as const;

export const calibrationDump: DumpKind = {
  name: 'calibration',
  recognises: (dump) => dump.has('one.ids') || dump.has('steps.ids'),
  compare: async (context) => {
    if (context.dump.has('one.ids')) await compareOne(context);
    if (context.dump.has('steps.ids')) await compareSteps(context);
  },
};

function optionsFor({ dump }: VerifyContext, fullBranch: TwoWayOptions['fullBranch']): TwoWayOptions {
  return { fullBranch, window: { sink: dump.number('sink'), recent: dump.number('recent'), block: 1 } };
}

async function compareOne(context: VerifyContext): Promise<void> {
  const { model, dump } = context;
  const ids = dump.ids('one.ids', model.config.vocab);
  const labelled = labelledOf(context, 'one.label', dump.labels('one.label', ids.length));
  const { layers, kvHeads } = model.config;
  const gates = unflatten(dump.gates('one.gates', layers, kvHeads), kvHeads);
  const weight = dump.number('reg_weight', REGULARIZATION);
  for (const { name, fullBranch } of BRANCHES) {
    if (dump.matches(new RegExp(`^one\\.${name}\\.`)).length === 0) continue;
    const options = optionsFor(context, fullBranch);
    const { distill, gradients } = twoWayStep(model, ids, labelled, gates, options);
    compare(context, `one.${name}.distill`, [distill], LOSS_RULE);
    compare(context, `one.${name}.reg`, [regularization(gates, weight)], LOSS_RULE);
    compare(context, `one.${name}.grad_distill`, flatten(gradients), gradientRule(layers));
    compare(context, `one.${name}.grad_total`, totalGradient(gradients, gates, weight), gradientRule(layers));
    compareHidden(context, name, ids, gates, options);
    await breathe();
    context.check();
  }
}

/** Final hidden states of the last tokens, the student's and (`one.hidden_full_lastN`) the teacher's. */
function compareHidden(context: VerifyContext, name: string, ids: Int32Array, gates: Gates, options: TwoWayOptions): void {
  const { model, dump } = context;
  for (const { name: tensor, match } of dump.matches(new RegExp(`^one\\.${name}\\.hidden_last(\\d+)$`))) {
    const count = Math.min(Number(match[1]), ids.length);
    const { teacher, student } = twoWayForward(model, ids, positionsFrom(ids.length - count, count), gates, options);
    compare(context, tensor, take(model, student), context.rule);
    const full = take(model, teacher);
    if (options.fullBranch === 'own') compare(context, `one.hidden_full_last${match[1]}`, full, context.rule);
  }
}

function totalGradient(gradients: Gates, gates: Gates, weight: number): Float32Array {
  const penalty = flatten(regularizationGradient(gates, weight));
  return flatten(gradients).map((gradient, i) => gradient + at(penalty, i));
}

async function compareSteps(context: VerifyContext): Promise<void> {
  for (const { name, fullBranch } of BRANCHES) {
    if (!context.dump.has(`steps.${name}.gates`)) continue;
    const trace = await runSteps(context, optionsFor(context, fullBranch));
    compare(context, `steps.${name}.distill`, trace.distill, LOSS_RULE);
    compare(context, `steps.${name}.reg`, trace.penalty, LOSS_RULE);
    compare(context, `steps.${name}.gates`, trace.gates, GATE_RULE);
  }
}

interface Trace {
  /** Losses before each step. */
  readonly distill: number[];
  readonly penalty: number[];
  /** Raw gates after each step, one step after the other. */
  readonly gates: number[];
}

/** Gates start at 1 and are clamped in place before each step. */
async function runSteps(context: VerifyContext, options: TwoWayOptions): Promise<Trace> {
  const { model, dump } = context;
  const { layers, kvHeads } = model.config;
  const samples = readSamples(context);
  const rates = dump.floats('steps.lr').values;
  const weight = dump.number('reg_weight', REGULARIZATION);
  const trace: Trace = { distill: [], penalty: [], gates: [] };
  let raw = flatten(initialGates(layers, kvHeads));
  let adam = initialAdam(raw.length);
  for (const [step, { ids, labelled }] of samples.entries()) {
    const gates = clamped(unflatten(raw, kvHeads));
    const { distill, gradients } = twoWayStep(model, ids, labelled, gates, options);
    const updated = adamStep(flatten(gates), totalGradient(gradients, gates, weight), adam, at(rates, step));
    [raw, adam] = [updated.parameters, updated.state];
    trace.distill.push(distill);
    trace.penalty.push(regularization(gates, weight));
    trace.gates.push(...raw);
    await breathe();
    context.check();
  }
  return trace;
}

function readSamples(context: VerifyContext): { readonly ids: Int32Array; readonly labelled: Int32Array }[] {
  const { model, dump } = context;
  const ids = dump.ids('steps.ids', model.config.vocab);
  const { shape, values: labels } = dump.ints('steps.label'); // (steps, tokens)
  const [steps = 0, tokens = 0] = shape;
  if (steps * tokens !== ids.length || dump.floats('steps.lr').values.length !== steps)
    throw new InputError({
      code: 'golden_tensor',
      what: 'steps.ids, steps.label and steps.lr of the dump do not fit together',
      given: dump.path,
    });
  return Array.from({ length: steps }, (_, step) => {
    const range = [step * tokens, (step + 1) * tokens] as const;
    return { ids: ids.subarray(...range), labelled: labelledOf(context, 'steps.label', labels.subarray(...range)) };
  });
}

function labelledOf({ dump }: VerifyContext, name: string, labels: Int32Array): Int32Array {
  const labelled = indicesOf(Uint8Array.from(labels));
  if (labelled.length === 0) throw new InputError({ code: 'golden_tensor', what: `${name} of the dump labels no token`, given: dump.path });
  return labelled;
}

function compare(context: VerifyContext, name: string, actual: ArrayLike<number>, rule: Rule): void {
  if (context.dump.has(name)) context.add(compareFloats(context.dump.floats(name), actual, rule));
}
