import { existsSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { hostname } from 'node:os';
import { join } from 'node:path';
import type { Warn, Warning } from '../../../src/errors.js';
import { setUpTensorflow } from '../../../src/device/setup/setup.js';
import type { SetupResult } from '../../../src/device/setup/setup.js';
import type { ProbeReply } from '../../../src/device/setup/probe.js';
import { siteStatus } from '../../../src/device/setup/status.js';
import type { Site } from '../../../src/device/setup/site.js';
import type { Wheel } from '../../../src/device/setup/wheel.js';
import { WHEEL_ENTRIES, describeWheel, makePath, makeSite, makeZip, removeTemporaryFolders, temporaryFolder, write } from './fakes.js';
import type { Programs } from './fakes.js';

afterEach(removeTemporaryFolders);

const COMPILES = 'echo compiled > "$output"';
const PASSES: ProbeReply = {
  facts: {
    description: 'a fake TensorFlow',
    kernels: 'plain',
    tensorflow: '2.21.0',
    warnings: [],
    loadMs: 1,
    selfTest: { matmul: 0, causalAttention: 0, streamingAttention: 0, passed: true },
  },
};

interface World {
  readonly site: Site;
  readonly environment: Record<string, string>;
  readonly wheel: Wheel;
  readonly calls: () => string[];
}

/** A machine whose pip brings a good small wheel, unless `programs` says otherwise. */
function makeWorld(programs: Programs = {}, site: Site = makeSite()): World {
  const path = makeZip(WHEEL_ENTRIES);
  const all = { pip: `cp '${path}' "$dest"/`, compiler: COMPILES, ...programs };
  return { site, wheel: describeWheel(path), ...makePath(all) };
}

interface Change {
  readonly offline?: boolean;
  readonly reply?: ProbeReply;
  readonly warn?: Warn;
}

function setUp(world: World, more: Change = {}): Promise<SetupResult> {
  const { site, environment, wheel } = world;
  const warn = more.warn ?? ((): void => undefined);
  const probe = (): Promise<ProbeReply> => Promise.resolve(more.reply ?? PASSES);
  return setUpTensorflow({
    site,
    environment,
    wheel,
    probe,
    warn,
    offline: more.offline ?? false,
    signal: undefined,
    onProgress: () => undefined,
  });
}

const statuses = (result: SetupResult): Record<string, string> =>
  Object.fromEntries(result.steps.map(({ step, status }) => [step, status]));

describe('setting TensorFlow up', () => {
  test('downloads, unpacks only what is needed, compiles and leaves no download behind', async () => {
    const world = makeWorld();
    const result = await setUp(world);
    expect(statuses(result)).toMatchObject({ package: 'kept', libtensorflow: 'done', binding: 'done', load: 'done' });
    const { packageDir } = world.site;
    expect(readFileSync(join(packageDir, 'deps/lib/libtensorflow_cc.so.2'), 'utf8')).toBe('the library');
    expect(readFileSync(join(packageDir, 'deps/include/tensorflow/c/c_api.h'), 'utf8')).toBe('// c_api.h');
    expect(existsSync(join(packageDir, 'deps/include/unsupported'))).toBe(false);
    expect(readdirSync(packageDir).filter((name) => /download|tmp|lock/.test(name))).toEqual([]);
    expect(siteStatus(world.site).load?.facts['tensorflow']).toBe('2.21.0');
  });

  test('a second run does nothing', async () => {
    const world = makeWorld();
    await setUp(world);
    const before = world.calls();
    const again = await setUp(world);
    expect(new Set(again.steps.map((step) => step.status))).toEqual(new Set(['kept']));
    expect(world.calls()).toEqual(before);
  });

  test.each<[string, Programs, string]>([
    ['pip is missing', { pip: 'echo "No module named pip" >&2; exit 1' }, 'libtensorflow_missing'],
    ['the network is away', { pip: 'echo "ERROR: No matching distribution found" >&2; exit 1' }, 'libtensorflow_missing'],
    ['pip brings another file', { pip: 'echo other > "$dest"/tensorflow_cpu.whl' }, 'wheel_hash'],
    ['the compiler fails', { compiler: 'echo "x.cc:1: error: expected" >&2; exit 1' }, 'compile_failed'],
  ])('says so when %s, and is repaired by running it again', async (_case, programs, code) => {
    const broken = makeWorld(programs);
    await expect(setUp(broken)).rejects.toMatchObject({ code, exitCode: 4 });
    expect(siteStatus(broken.site).load).toBeUndefined();
    const mended = makeWorld({}, broken.site);
    expect(statuses(await setUp(mended))).toMatchObject({ binding: 'done', load: 'done' });
  });

  test('goes on with a warning when only our operations do not compile', async () => {
    const world = makeWorld({ compiler: `case "$output" in *operations*) echo "error: no" >&2; exit 1;; esac; ${COMPILES}` });
    const warnings: Warning[] = [];
    const result = await setUp(world, { warn: (warning) => void warnings.push(warning) });
    expect(statuses(result)).toMatchObject({ binding: 'done', operations: 'failed', load: 'done' });
    expect(warnings.map(({ code }) => code)).toEqual(['compile_failed']);
    expect(siteStatus(world.site)).toMatchObject({ operations: undefined, load: { facts: { operations: 'none' } } });
  });

  test('says so when there is no compiler', async () => {
    const world = makeWorld();
    rmSync(join(world.environment['PATH'] ?? '', 'g++'));
    await expect(setUp(world)).rejects.toMatchObject({ code: 'compiler_missing' });
  });

  test('does not download when offline', async () => {
    const world = makeWorld();
    await expect(setUp(world, { offline: true })).rejects.toMatchObject({ code: 'libtensorflow_missing' });
    expect(world.calls()).toEqual([]);
  });

  test('a library that computes wrongly is not taken for ready', async () => {
    const selfTest = { matmul: 1, causalAttention: 0, streamingAttention: 0, passed: false };
    const reply = 'facts' in PASSES ? { facts: { ...PASSES.facts, selfTest } } : PASSES;
    const world = makeWorld();
    await expect(setUp(world, { reply })).rejects.toMatchObject({ code: 'tensorflow_load' });
    expect(siteStatus(world.site).load).toBeUndefined();
  });

  test.each<[string, (packageDir: string) => void, string]>([
    ['a library', (folder) => rmSync(join(folder, 'deps/lib/libtensorflow_cc.so.2')), 'libtensorflow'],
    ['half a library', (folder) => writeFileSync(join(folder, 'deps/lib/libtensorflow_cc.so.2'), 'the li'), 'libtensorflow'],
    ['the binding', (folder) => rmSync(join(folder, 'lib/napi-v8/tfjs_binding.node')), 'binding'],
    ['the stamp', (folder) => rmSync(join(folder, 'duo-setup.json')), 'libtensorflow'],
    ['half a stamp', (folder) => writeFileSync(join(folder, 'duo-setup.json'), '{"schema":'), 'libtensorflow'],
    ['changed sources of the binding', (folder) => write(join(folder, 'binding/utils.h'), '// other'), 'binding'],
  ])('repairs after losing %s', async (_case, damage, repaired) => {
    const world = makeWorld();
    await setUp(world);
    damage(world.site.packageDir);
    expect(siteStatus(world.site).load).toBeUndefined();
    expect(statuses(await setUp(world))[repaired]).toBe('done');
    expect(siteStatus(world.site).load).toBeDefined();
  });

  test('goes on from a finished download, and sweeps up what a killed run left', async () => {
    const world = makeWorld();
    const { packageDir } = world.site;
    const path = makeZip(WHEEL_ENTRIES);
    write(join(packageDir, 'duo-download/tensorflow.whl'), '');
    writeFileSync(join(packageDir, 'duo-download/tensorflow.whl'), readFileSync(path));
    write(join(packageDir, 'deps.tmp-killed/lib/libtensorflow_cc.so.2'), 'the li');
    // No living process has this number: the highest is 2^22.
    write(join(packageDir, 'duo-setup.lock'), `${2 ** 30} ${hostname()}`);
    const kept = { ...world, wheel: describeWheel(path) };
    await setUp(kept);
    expect(world.calls()).not.toContain('pip');
    expect(readFileSync(join(packageDir, 'deps/lib/libtensorflow_cc.so.2'), 'utf8')).toBe('the library');
    expect(readdirSync(packageDir).filter((name) => /download|tmp|lock/.test(name))).toEqual([]);
  });

  test('refuses to run beside another set-up', async () => {
    const world = makeWorld();
    write(join(world.site.packageDir, 'duo-setup.lock'), `${process.ppid} ${hostname()}`);
    await expect(setUp(world)).rejects.toMatchObject({ code: 'setup_busy' });
  });

  test('links a library that DUO_LIBTENSORFLOW names, and takes it in place of another', async () => {
    const world = makeWorld();
    await setUp(world);
    const folder = temporaryFolder();
    write(join(folder, 'lib/libtensorflow.so.2'), 'named');
    write(join(folder, 'lib/libtensorflow_framework.so.2'), 'framework');
    write(join(folder, 'include/tensorflow/c/c_api.h'), '// header');
    const named = { ...world, environment: { ...world.environment, DUO_LIBTENSORFLOW: folder } };
    const result = await setUp(named);
    expect(statuses(result)).toMatchObject({ libtensorflow: 'done', binding: 'done', load: 'done' });
    expect(readFileSync(join(world.site.packageDir, 'deps/lib/libtensorflow_cc.so.2'), 'utf8')).toBe('named');
    expect(readFileSync(join(world.site.packageDir, 'deps/lib/libtensorflow.so.2'), 'utf8')).toBe('named');
    expect(statuses(await setUp(named))).toMatchObject({ libtensorflow: 'kept', load: 'kept' });
  });

  test('refuses a DUO_LIBTENSORFLOW without the libraries, as wrong input, and keeps what was set up', async () => {
    const world = makeWorld();
    const environment = { ...world.environment, DUO_LIBTENSORFLOW: temporaryFolder() };
    await setUp(world);
    await expect(setUp({ ...world, environment })).rejects.toMatchObject({ code: 'libtensorflow_named', exitCode: 2 });
    expect(statuses(await setUp(world))).toMatchObject({ libtensorflow: 'kept', binding: 'kept', load: 'kept' });
  });
});
