/** What this machine has for `duo doctor`: found, missing, and the command that mends it. Loads nothing into this process. */
import { existsSync, statfsSync } from 'node:fs';
import { arch, availableParallelism, cpus, freemem, platform, release, totalmem } from 'node:os';
import { dirname } from 'node:path';
import { glibcVersion, unsupportedPlatform } from './setup/platform.js';
import { probeDevice } from './setup/probe.js';
import type { ProbeReply } from './setup/probe.js';
import { SETUP_COMMAND, duoHome } from './setup/site.js';
import { knownStatuses } from './setup/status.js';
import type { SiteStatus } from './setup/status.js';
import { findCompiler, findNpm, findPython, runTool } from './setup/tools.js';
import type { Environment } from './setup/tools.js';

export interface Check {
  readonly name: string;
  /** `missing` things stop TensorFlow or everything; `note` is for information only. */
  readonly status: 'ok' | 'warning' | 'missing' | 'note';
  readonly found: string;
  /** The command or setting that mends it. */
  readonly mend?: string;
}

export interface RuntimeReport {
  readonly checks: readonly Check[];
  readonly devices: Readonly<Partial<Record<'tensorflow' | 'wasm', ProbeReply>>>;
  /** The device that `--device auto` takes; absent when none works. */
  readonly auto?: 'tensorflow' | 'wasm';
}

export interface InspectRequest {
  readonly environment: Environment;
  /** `auto` looks at both. */
  readonly device: 'auto' | 'tensorflow' | 'wasm';
  readonly threads?: number | undefined;
  readonly signal?: AbortSignal;
}

const OLDEST_NODE = 20;

export async function inspectRuntime(request: InspectRequest): Promise<RuntimeReport> {
  const { environment, signal } = request;
  const status = bestStatus(environment);
  const wanted = request.device === 'auto' ? (['tensorflow', 'wasm'] as const) : [request.device];
  const devices: Partial<Record<'tensorflow' | 'wasm', ProbeReply>> = {};
  // One after the other: two loads at once would slow each other.
  for (const device of wanted) devices[device] = await probeDevice({ device, threads: request.threads }, environment, signal);
  const auto = wanted.find((device) => works(devices[device]));
  const tools = await toolChecks(environment, status?.load !== undefined, signal);
  const checks = [
    ...machineChecks(environment),
    ...tools,
    ...setupChecks(status),
    ...wanted.map((name) => deviceCheck(name, devices[name])),
  ];
  return { checks, devices, ...(auto === undefined ? {} : { auto }) };
}

/** The site that got furthest. */
function bestStatus(environment: Environment): SiteStatus | undefined {
  const progress = ({ whole, library, binding, load }: SiteStatus): number => [whole, library, binding, load].filter(Boolean).length;
  const [first, ...others] = knownStatuses(environment);
  return first && others.reduce((best, status) => (progress(status) > progress(best) ? status : best), first);
}

export function works(reply: ProbeReply | undefined): boolean {
  return reply !== undefined && 'facts' in reply && reply.facts.selfTest.passed;
}

function machineChecks(environment: Environment): Check[] {
  const major = Number(process.versions.node.split('.')[0]);
  const glibc = glibcVersion();
  const unsupported = unsupportedPlatform();
  const home = existingAncestor(duoHome(environment));
  const { bavail, bsize } = statfsSync(home);
  return [
    {
      name: 'Node',
      found: `${process.version} at ${process.execPath}`,
      ...(major >= OLDEST_NODE ? { status: 'ok' } : { status: 'missing', mend: `install Node ${OLDEST_NODE} or newer` }),
    },
    {
      name: 'platform',
      found: `${platform()} ${release()} ${arch()}${glibc === undefined ? '' : `, glibc ${glibc}`}`,
      ...(unsupported === undefined ? { status: 'ok' } : { status: 'warning', mend: `${unsupported}: use --device wasm` }),
    },
    { name: 'processor', status: 'note', found: `${cpus()[0]?.model.trim() ?? 'unknown'}, ${availableParallelism()} threads` },
    { name: 'memory', status: 'note', found: `${gigabytes(totalmem())} GB, ${gigabytes(freemem())} GB free` },
    { name: 'disk', status: 'note', found: `${gigabytes(bavail * bsize)} GB free at ${home}` },
  ];
}

const gigabytes = (bytes: number): string => (bytes / 1e9).toFixed(1);

function existingAncestor(path: string): string {
  return existsSync(path) ? path : existingAncestor(dirname(path));
}

/** Programs that set-up calls: once TensorFlow is ready they are no longer needed. */
async function toolChecks(environment: Environment, ready: boolean, signal: AbortSignal | undefined): Promise<Check[]> {
  const version = async (command: string | undefined, ...args: string[]): Promise<string | undefined> => {
    if (command === undefined) return undefined;
    const result = await runTool({ command, args, environment, signal });
    return result.code === 0 ? `${result.stdout.split('\n')[0]?.trim() ?? ''} at ${command}` : undefined;
  };
  const python = findPython(environment);
  const [npm, ...npmArguments] = findNpm(environment) ?? [];
  const tools = [
    {
      name: 'C++ compiler',
      version: version(findCompiler(environment), '--version'),
      mend: 'apt install g++ (Fedora: dnf install gcc-c++), or set CXX',
    },
    { name: 'Python', version: version(python, '--version'), mend: 'apt install python3 python3-pip, or set DUO_LIBTENSORFLOW' },
    { name: 'pip', version: version(python, '-m', 'pip', '--version'), mend: 'apt install python3-pip, or set DUO_LIBTENSORFLOW' },
    { name: 'npm', version: version(npm, ...npmArguments, '--version'), mend: 'install npm' },
  ];
  return Promise.all(
    tools.map(async ({ name, version, mend }): Promise<Check> => {
      const found = await version;
      if (found !== undefined) return { name, status: 'ok', found };
      return ready ? { name, status: 'note', found: 'none; not needed any more' } : { name, status: 'warning', found: 'none', mend };
    }),
  );
}

function setupChecks(status: SiteStatus | undefined): Check[] {
  const mend = SETUP_COMMAND;
  if (status?.whole !== true) return [{ name: 'tfjs-node-gpu', status: 'missing', found: 'not installed', mend }];
  const step = (name: string, found: string | undefined): Check =>
    found === undefined ? { name, status: 'missing', found: 'not set up', mend } : { name, status: 'ok', found };
  const { library, binding, operations, load } = status;
  return [
    { name: 'tfjs-node-gpu', status: 'ok', found: status.site.packageDir },
    step('libtensorflow', library && `${load?.facts['tensorflow'] ?? ''} from ${library.facts['origin']}`.trim()),
    step('binding', binding && `compiled, ${binding.facts['file']}`),
    operations === undefined
      ? { name: 'operations', status: 'warning', found: 'not built: attention runs in slower plain operations', mend }
      : { name: 'operations', status: 'ok', found: `compiled, ${operations.facts['file']}` },
  ];
}

function deviceCheck(name: 'tensorflow' | 'wasm', reply: ProbeReply | undefined): Check {
  const mend = name === 'tensorflow' ? SETUP_COMMAND : 'npm install';
  if (reply === undefined || 'failure' in reply) return { name, status: 'missing', found: reply?.failure ?? 'not looked at', mend };
  const { description, selfTest, loadMs, warnings } = reply.facts;
  const errors = `matmul ${selfTest.matmul.toExponential(0)}, attention ${selfTest.causalAttention.toExponential(0)}, streaming ${selfTest.streamingAttention.toExponential(0)}`;
  if (!selfTest.passed) return { name, status: 'missing', found: `${description}: wrong results (${errors})`, mend };
  const found = `${description}; loads in ${Math.round(loadMs)} ms; largest errors: ${errors}`;
  return warnings.length === 0
    ? { name, status: 'ok', found }
    : { name, status: 'warning', found: `${found}; ${warnings.join('; ')}`, mend };
}
