/**
 * Sets TensorFlow up in steps: npm's package, libtensorflow, the binding, our operations, a first load. Each step is
 * atomic and leaves a stamp, so that running it again repairs what was interrupted and otherwise does nothing.
 */
import { join } from 'node:path';
import { EnvironmentError, InternalError } from '../../errors.js';
import type { Warn } from '../../errors.js';
import { addonKey, addonPath, bindingAddon, compileAddon } from './compile.js';
import type { Addon } from './compile.js';
import { LIBRARY_FILES, installLibrary } from './library.js';
import { withLock } from './lock.js';
import { installPackage } from './npm.js';
import { operationsAddon } from './operations.js';
import { unsupportedPlatform } from './platform.js';
import { probeDevice } from './probe.js';
import { SETUP_COMMAND, TFJS_VERSION, besideSite, homeSite, isWhole, isWritable } from './site.js';
import type { Site } from './site.js';
import { measureFiles, recordStep } from './stamp.js';
import type { StepRecord } from './stamp.js';
import { libraryKey, operationsPath, siteStatus, standing, standingAddon } from './status.js';
import { WHEEL } from './wheel.js';
import type { WheelContext } from './wheel.js';

export type SetupRequest = Pick<SetupContext, 'environment' | 'offline' | 'signal' | 'onProgress' | 'warn'> &
  Partial<Pick<SetupContext, 'wheel' | 'probe'>> & { readonly site?: Site };

/** Facts of a step for people: version, origin, file. */
type Facts = Readonly<Record<string, string>>;

export type StepName = 'package' | 'libtensorflow' | 'binding' | 'operations' | 'load';

export interface StepResult {
  readonly step: StepName;
  /** `kept`: an earlier run did it and it is intact. `failed`: TensorFlow works without it; a warning says why. */
  readonly status: 'kept' | 'done' | 'failed';
  readonly facts: Facts;
  readonly elapsedMs: number;
}

export interface SetupResult {
  readonly site: Site;
  readonly steps: readonly StepResult[];
}

/** What set-up needs of the world; tests give their own wheel and probe. */
export interface SetupContext extends WheelContext {
  readonly warn: Warn;
  readonly probe: typeof probeDevice;
}

interface Step {
  readonly name: StepName;
  /** Facts of an earlier run when they still hold. */
  readonly holds: (site: Site, context: SetupContext) => Facts | undefined;
  /** Does the work, records it, and gives its facts; undefined after a failure that TensorFlow can do with. */
  readonly make: (site: Site, context: SetupContext) => Promise<Facts | undefined>;
}

const STEPS: readonly Step[] = [
  { name: 'package', holds: (site) => (isWhole(site) ? packageFacts(site) : undefined), make: makePackage },
  { name: 'libtensorflow', holds: heldLibrary, make: makeLibrary },
  addonStep('binding', bindingAddon),
  optional(addonStep('operations', operationsAddon)),
  { name: 'load', holds: heldLoad, make: makeLoad },
];

/**
 * Sets TensorFlow up at `site`, by default where this copy of the program looks for it.
 * @throws EnvironmentError naming what the machine lacks; InputError for a wrong DUO_LIBTENSORFLOW; InterruptedError
 */
export async function setUpTensorflow(request: SetupRequest): Promise<SetupResult> {
  const context: SetupContext = { wheel: WHEEL, probe: probeDevice, ...request };
  const site = request.site ?? siteToSetUp(context);
  const reason = unsupportedPlatform();
  if (reason !== undefined)
    throw new EnvironmentError({ code: 'platform', what: reason, hint: 'nothing to set up: everything runs on wasm (--device wasm)' });
  const kept = keptSteps(site, context);
  if (kept.length === STEPS.length) return { site, steps: kept };
  return withLock(join(site.workDir, 'duo-setup.lock'), async () => {
    const steps: StepResult[] = [];
    for (const step of STEPS) steps.push(await runStep(step, site, context));
    return { site, steps };
  });
}

/** The site beside this package when npm left it whole and it is set up or can be written, else DUO_HOME. */
function siteToSetUp(context: SetupContext): Site {
  const beside = besideSite();
  if (beside === undefined || !isWhole(beside)) return homeSite(context.environment);
  const usable = isWritable(beside.packageDir) || keptSteps(beside, context).length === STEPS.length;
  return usable ? beside : homeSite(context.environment);
}

/** The leading steps that an earlier run finished. */
function keptSteps(site: Site, context: SetupContext): readonly StepResult[] {
  const kept: StepResult[] = [];
  for (const { name, holds } of STEPS) {
    const facts = holds(site, context);
    if (facts === undefined) break;
    kept.push({ step: name, status: 'kept', facts, elapsedMs: 0 });
  }
  return kept;
}

async function runStep(step: Step, site: Site, context: SetupContext): Promise<StepResult> {
  const startedMs = performance.now();
  const held = step.holds(site, context);
  const made = held === undefined ? await step.make(site, context) : undefined;
  const status = held !== undefined ? 'kept' : made !== undefined ? 'done' : 'failed';
  return { step: step.name, status, facts: held ?? made ?? {}, elapsedMs: performance.now() - startedMs };
}

function record(site: Site, step: string, made: StepRecord): Facts {
  recordStep(site, step, made);
  return made.facts;
}

function packageFacts(site: Site): Facts {
  return { version: TFJS_VERSION, folder: site.packageDir };
}

async function makePackage(site: Site, context: SetupContext): Promise<Facts> {
  if (site.kind === 'beside') throw new InternalError('a site beside the package is chosen only when it is whole');
  await installPackage(site, context);
  return packageFacts(site);
}

/** A library named by the user replaces another one; without a name, whatever was set up is kept. */
function heldLibrary(site: Site, { environment }: SetupContext): Facts | undefined {
  const held = standing(site, 'libtensorflow');
  const named = environment['DUO_LIBTENSORFLOW'];
  return !named || held?.facts['named'] === named ? held?.facts : undefined;
}

/** What was compiled against an earlier library has another key and counts as undone from here on. */
async function makeLibrary(site: Site, context: SetupContext): Promise<Facts> {
  const facts = await installLibrary(site, context);
  const made = { files: measureFiles(site, LIBRARY_FILES), facts };
  return record(site, 'libtensorflow', { ...made, key: libraryKey(made) });
}

/** A step that compiles one addon; a copy of the program without its sources has nothing to do. */
function addonStep(name: 'binding' | 'operations', addonOf: (site: Site) => Addon | undefined): Step {
  return {
    name,
    holds: (site) => {
      const [addon, library] = [addonOf(site), standing(site, 'libtensorflow')];
      if (addon === undefined) return {};
      return library && standingAddon(site, addon, library)?.facts;
    },
    make: async (site, context) => {
      const [addon, library] = [addonOf(site), standing(site, 'libtensorflow')];
      if (addon === undefined || library === undefined) throw new InternalError(`nothing to compile for ${name}`);
      context.onProgress({ stage: `compiling ${addon.title}`, done: 0, total: 1 });
      await compileAddon(site, addon, context.environment, context.signal);
      const path = addonPath(addon);
      return record(site, path, { key: addonKey(addon, library.key), files: measureFiles(site, [path]), facts: { file: path } });
    },
  };
}

/** A step whose failure is a warning: without our operations TensorFlow still works, only slower. */
function optional(step: Step): Step {
  const make: Step['make'] = async (site, context) => {
    try {
      return await step.make(site, context);
    } catch (error) {
      if (!(error instanceof EnvironmentError)) throw error;
      const { code, what, hint } = error.facts;
      context.warn({ code, message: `${what}; attention runs in slower plain operations`, ...(hint === undefined ? {} : { hint }) });
      return undefined;
    }
  };
  return { ...step, make };
}

function heldLoad(site: Site): Facts | undefined {
  const { load, operations } = siteStatus(site);
  return load?.facts['operations'] === (operations?.key ?? 'none') ? load?.facts : undefined;
}

/** The first load, in a child process: only a TensorFlow that computes rightly is stamped as ready. */
async function makeLoad(site: Site, context: SetupContext): Promise<Facts> {
  const status = siteStatus(site);
  context.onProgress({ stage: 'loading TensorFlow', done: 0, total: 1 });
  const question = { device: 'tensorflow', files: { packageDir: site.packageDir, operations: operationsPath(status) } } as const;
  const reply = await context.probe(question, context.environment, context.signal);
  if ('failure' in reply) throw loadFailed(reply.failure);
  if (!reply.facts.selfTest.passed) throw loadFailed(`its results are wrong: ${JSON.stringify(reply.facts.selfTest)}`);
  const facts = {
    tensorflow: reply.facts.tensorflow ?? 'unknown',
    description: reply.facts.description,
    operations: status.operations?.key ?? 'none',
  };
  return record(site, 'load', { key: status.binding?.key ?? '', files: {}, facts });
}

function loadFailed(why: string): EnvironmentError {
  return new EnvironmentError({
    code: 'tensorflow_load',
    what: `TensorFlow was built but does not work: ${why}`,
    hint: `set DUO_LIBTENSORFLOW to another libtensorflow and run ${SETUP_COMMAND} again, or use --device wasm`,
  });
}
