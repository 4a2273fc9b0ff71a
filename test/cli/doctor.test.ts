import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { jest } from '@jest/globals';
import type { Check } from '../../src/device/inspect.js';
import type { ProbeQuestion, ProbeReply } from '../../src/device/setup/probe.js';
import type { SiteStatus } from '../../src/device/setup/status.js';
import { DUO_MINI } from '../helpers/paths.js';

/** What the machine is made to look like; the real set-up code is tested beside it, the real machine in the last block. */
const machine: { statuses: readonly SiteStatus[]; replies: Partial<Record<string, ProbeReply>> } = { statuses: [], replies: {} };
const realProbe = await import('../../src/device/setup/probe.js');
const realStatus = await import('../../src/device/setup/status.js');
jest.unstable_mockModule('../../src/device/setup/probe.js', () => ({
  ...realProbe,
  probeDevice: ({ device }: ProbeQuestion) => Promise.resolve(machine.replies[device] ?? { failure: `no ${device} here` }),
}));
jest.unstable_mockModule('../../src/device/setup/status.js', () => ({ ...realStatus, knownStatuses: () => machine.statuses }));
const { run } = await import('../../src/cli/program.js');

interface Doctor {
  readonly schema: string;
  readonly result: {
    readonly usable: boolean;
    readonly auto: string | null;
    readonly checks: readonly Check[];
    readonly model: Readonly<Record<string, unknown>> | null;
  };
}

/** Without programs to ask for their versions, which takes longer than all the rest. */
const TOOLLESS = { ...process.env, PATH: '/nowhere' };

async function doctor(
  args: readonly string[] = [],
  environment: NodeJS.ProcessEnv = TOOLLESS,
): Promise<{ code: number; stdout: string; stderr: string }> {
  const output = { stdout: '', stderr: '' };
  const code = await run(['doctor', ...args], {
    stdout: { write: (text) => (output.stdout += text) },
    stderr: { write: (text) => (output.stderr += text) },
    environment,
    signal: new AbortController().signal,
  });
  return { code, ...output };
}

async function doctorJson(...rest: Parameters<typeof doctor>): Promise<{ code: number } & Doctor> {
  const [args = [], environment] = rest;
  const { code, stdout } = await doctor([...args, '--format', 'json'], environment);
  return { code, ...(JSON.parse(stdout) as Doctor) };
}

const check = ({ result }: Doctor, name: string): Check | undefined => result.checks.find((one) => one.name === name);

function works(passed = true): ProbeReply {
  const selfTest = { matmul: 1e-7, causalAttention: 1e-7, streamingAttention: 1e-7, passed };
  return { facts: { description: 'a device', kernels: 'plain', warnings: [], loadMs: 10, selfTest } };
}

const step = { key: '', files: {}, facts: { origin: 'a wheel', file: 'x.node', tensorflow: '2.21.0' } };
const site = { kind: 'home', packageDir: '/nowhere', workDir: '/nowhere' } as const;
const ready: SiteStatus = { site, whole: true, library: step, binding: step, operations: step, load: step };

describe('duo doctor', () => {
  test('takes TensorFlow when it works, and asks for nothing', async () => {
    Object.assign(machine, { statuses: [ready], replies: { tensorflow: works(), wasm: works() } });
    const report = await doctorJson();
    expect(report).toMatchObject({ code: 0, schema: 'duo-doctor/1', result: { usable: true, auto: 'tensorflow' } });
    expect(report.result.checks.filter(({ status }) => status === 'missing')).toEqual([]);
    expect(check(report, 'libtensorflow')?.found).toBe('2.21.0 from a wheel');
  });

  test.each<[string, readonly SiteStatus[], string]>([
    ['npm left tfjs-node-gpu out', [], 'tfjs-node-gpu'],
    ['nothing is set up', [{ site, whole: true }], 'libtensorflow'],
    ['the binding was lost', [{ site, whole: true, library: step }], 'binding'],
  ])('when %s, names what is missing and the command, and wasm is enough', async (_case, statuses, missing) => {
    Object.assign(machine, { statuses, replies: { wasm: works() } });
    const report = await doctorJson();
    expect(report).toMatchObject({ code: 0, result: { usable: true, auto: 'wasm' } });
    expect(check(report, missing)).toMatchObject({ status: 'missing', mend: 'npm run setup:tensorflow' });
    expect((await doctor()).stdout).toContain('try: npm run setup:tensorflow');
  });

  test('looks at the site that got furthest', async () => {
    Object.assign(machine, { statuses: [{ site, whole: true }, ready], replies: { wasm: works() } });
    expect(check(await doctorJson(), 'binding')?.status).toBe('ok');
  });

  test('wrong results of a device count as missing', async () => {
    Object.assign(machine, { statuses: [ready], replies: { tensorflow: works(false), wasm: works() } });
    const report = await doctorJson();
    expect(check(report, 'tensorflow')).toMatchObject({ status: 'missing' });
    expect(report.result.auto).toBe('wasm');
  });

  test('passes on what a device warned of while opening', async () => {
    const reply = works();
    if ('facts' in reply) reply.facts.warnings.push('compiled for another processor');
    Object.assign(machine, { statuses: [ready], replies: { tensorflow: reply, wasm: works() } });
    const report = await doctorJson();
    expect(check(report, 'tensorflow')).toMatchObject({ status: 'warning', mend: 'npm run setup:tensorflow' });
    expect(check(report, 'tensorflow')?.found).toContain('compiled for another processor');
    expect(report.result.auto).toBe('tensorflow');
  });

  test('ends with 4 when nothing can compute, or not the device that was asked for', async () => {
    Object.assign(machine, { statuses: [ready], replies: {} });
    expect(await doctorJson()).toMatchObject({ code: 4, result: { usable: false, auto: null } });
    Object.assign(machine, { statuses: [ready], replies: { wasm: works() } });
    expect(await doctorJson(['--device', 'tensorflow'])).toMatchObject({ code: 4 });
    expect(await doctorJson(['--device', 'wasm'])).toMatchObject({ code: 0 });
  });

  test('names the package that brings a missing program, unless TensorFlow is ready without it', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'duo-test-'));
    const bare = { PATH: folder, HOME: folder };
    try {
      Object.assign(machine, { statuses: [], replies: { wasm: works() } });
      const report = await doctorJson([], bare);
      expect(check(report, 'C++ compiler')).toMatchObject({ status: 'warning', mend: expect.stringContaining('apt install g++') });
      expect(check(report, 'pip')).toMatchObject({ status: 'warning', mend: expect.stringContaining('python3-pip') });
      Object.assign(machine, { statuses: [ready] });
      expect(check(await doctorJson([], bare), 'C++ compiler')).toMatchObject({ status: 'note' });
    } finally {
      rmSync(folder, { recursive: true });
    }
  });

  test('says what a model takes: weights in float32, and 2 x 4 bytes x layers x KV heads x headDim per token', async () => {
    Object.assign(machine, { statuses: [ready], replies: { wasm: works() } });
    const { result } = await doctorJson(['--model', DUO_MINI]);
    expect(result.model).toMatchObject({
      id: 'duo-mini',
      parameters: 3_475_712,
      weightBytes: 4 * 3_475_712,
      cacheBytesPerToken: 2 * 4 * 4 * 4 * 64,
    });
  });

  test('a model that is not there is wrong input', async () => {
    const { code, stderr } = await doctor(['--model', '/nowhere/at-all']);
    expect(code).toBe(2);
    expect(stderr).toContain('/nowhere/at-all');
  });
});

describe('probing this machine', () => {
  test('wasm passes the self-test in a process of its own', async () => {
    const reply = await realProbe.probeDevice({ device: 'wasm' }, process.env);
    expect(reply).toMatchObject({ facts: { kernels: 'plain', warnings: [], selfTest: { passed: true } } });
  });

  test('a TensorFlow that is not there is a reason, not a crash', async () => {
    const reply = await realProbe.probeDevice({ device: 'tensorflow', files: { packageDir: '/nowhere' } }, process.env);
    expect(reply).toMatchObject({ failure: expect.stringContaining('TensorFlow does not load') });
  });

  test('a library that kills its process is a reason too', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'duo-test-'));
    const { writeFileSync } = await import('node:fs');
    writeFileSync(join(folder, 'package.json'), '{"main":"main.js"}');
    writeFileSync(join(folder, 'main.js'), "process.kill(process.pid, 'SIGSEGV'); for (;;);");
    const reply = await realProbe.probeDevice({ device: 'tensorflow', files: { packageDir: folder } }, process.env);
    rmSync(folder, { recursive: true });
    expect(reply).toEqual({ failure: 'the process ended with SIGSEGV' });
  });
});
