/**
 * Tests what `npm pack` makes, as a user meets it: installed globally by this npm and by npm 10, set up, and used with
 * and without a network, on wasm and on TensorFlow. Takes some minutes and needs the npm registry and pip's index once.
 * `npm run test:packed`.
 */
import assert from 'node:assert/strict';
import { cpSync, existsSync, mkdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { PACKAGE_ROOT } from '../src/version.js';
import { check, finish, run, succeed, tinyCommand, withFolder } from './checks.js';
import type { Run } from './checks.js';

const TFJS = join('@tensorflow', 'tfjs-node-gpu');
const NO_NETWORK = ['unshare', '--map-root-user', '--net'] as const;
/** Files a user must get, and beginnings of paths that only a developer needs. */
const PACKED = ['dist/bin/duo.js', 'dist/src/index.js', 'dist/src/index.d.ts', 'README.md', 'LICENSE', 'models/duo-mini/model.safetensors'];
const PACKED_FOLDERS = ['native/ops/', 'native/kernels/', 'datasets/', 'patterns/'];
const NOT_PACKED = ['dist/test/', 'dist/scripts/', 'src/', 'test/', 'scripts/', '.ci/', 'dist/.tsbuildinfo'];

/**
 * How people install it. A global install runs the install script of tfjs-node-gpu; where that fails (its server is out
 * of reach), npm drops the package, and set-up brings it to DUO_HOME.
 */
const WAYS = [
  { title: 'without scripts', npm: ['npm'], options: ['--ignore-scripts'], site: 'beside' },
  { title: 'with scripts', npm: ['npm'], options: ['--ignore-scripts=false'], site: 'home' },
  { title: 'npm 10', npm: ['npx', '--yes', 'npm@10'], options: ['--ignore-scripts=false'], site: 'home' },
] as const;

/** An installed copy and where it keeps TensorFlow. */
interface Installed {
  readonly prefix: string;
  readonly home: string;
}

const packageDir = ({ prefix }: Installed): string => join(prefix, 'lib', 'node_modules', 'duo-attention');

interface Archive {
  readonly file: string;
  readonly paths: readonly string[];
}

/** Packs the checkout's files, uncommitted ones included, from a fresh build. */
function pack(folder: string): Archive {
  const source = join(folder, 'source');
  const listed = succeed('git', ['ls-files', '-z', '--cached', '--others', '--exclude-standard'], { cwd: PACKAGE_ROOT });
  for (const name of listed.split('\0').filter((path) => path !== '' && existsSync(join(PACKAGE_ROOT, path))))
    cpSync(join(PACKAGE_ROOT, name), join(source, name));
  symlinkSync(join(PACKAGE_ROOT, 'node_modules'), join(source, 'node_modules'));
  succeed(process.execPath, [join('node_modules', 'typescript', 'bin', 'tsc')], { cwd: source });
  const output = succeed('npm', ['pack', '--json', '--ignore-scripts', '--pack-destination', folder], { cwd: source });
  const parsed = JSON.parse(output.slice(output.search(/[[{]/))) as unknown;
  const [report] = (Array.isArray(parsed) ? parsed : Object.values(parsed as object)) as { filename: string; files: { path: string }[] }[];
  assert(report, 'npm pack reports what it packed');
  return { file: join(folder, report.filename), paths: report.files.map(({ path }) => path) };
}

function checkContents(paths: readonly string[]): void {
  const missing = PACKED.filter((path) => !paths.includes(path));
  const missingFolders = PACKED_FOLDERS.filter((folder) => !paths.some((path) => path.startsWith(folder)));
  const surplus = paths.filter((path) => NOT_PACKED.some((start) => path.startsWith(start)));
  assert.deepEqual([...missing, ...missingFolders], [], 'packed files are missing');
  assert.deepEqual(surplus, [], 'files are packed that users do not need');
}

function install(folder: string, name: string, archive: string, npm: readonly string[], options: readonly string[] = []): Installed {
  const installed = { prefix: join(folder, name), home: join(folder, `${name}-home`) };
  mkdirSync(installed.home);
  const [command = 'npm', ...first] = npm;
  const flags = ['install', '--global', '--prefix', installed.prefix, '--no-audit', '--no-fund', ...options];
  succeed(command, [...first, ...flags, archive], { cwd: folder });
  return installed;
}

interface Call {
  /** Runs it in a network namespace of its own, where nothing answers. */
  readonly noNetwork?: boolean;
  readonly environment?: Readonly<Record<string, string>>;
}

function duo(installed: Installed, args: readonly string[], { noNetwork = false, environment = {} }: Call = {}): Run {
  const words = [...(noNetwork ? NO_NETWORK : []), join(installed.prefix, 'bin', 'duo'), ...args];
  const [command = '', ...rest] = words;
  return run(command, rest, { cwd: installed.prefix, environment: { DUO_HOME: installed.home, ...environment } });
}

/** The result of a command that must end with `code`, of its --format json. */
function duoJson(installed: Installed, args: readonly string[], code: number, call?: Call): Record<string, unknown> {
  const result = duo(installed, [...args, '--format', 'json'], call);
  assert.equal(result.code, code, `duo ${args.join(' ')}: ${result.stdout.slice(-1_500)}${result.stderr.slice(-1_500)}`);
  return JSON.parse(result.stdout) as Record<string, unknown>;
}

interface Doctor {
  readonly result: { readonly auto: string | null; readonly checks: readonly { readonly name: string; readonly mend?: string }[] };
}

function doctor(installed: Installed, auto: string, call?: Call): Doctor['result'] {
  const { result } = duoJson(
    installed,
    ['doctor', '--model', join(packageDir(installed), 'models', 'duo-mini')],
    0,
    call,
  ) as unknown as Doctor;
  assert.equal(result.auto, auto);
  return result;
}

/** A tiny command on the embedded model; returns its result and warnings. */
function complete(installed: Installed, device: string, call?: Call): readonly { readonly code: string }[] {
  return duoJson(installed, tinyCommand(installed.home, device), 0, call)['warnings'] as { code: string }[];
}

interface Setup {
  readonly result: { readonly site: string; readonly steps: readonly { readonly step: string; readonly status: string }[] };
}

function setUp(installed: Installed, call?: Call): Setup['result'] {
  return (duoJson(installed, ['setup'], 0, call) as unknown as Setup).result;
}

async function testInstalled(title: string, installed: Installed, expectedSite: string): Promise<void> {
  await check(`${title}: works on wasm before any set-up, and names the command that mends it`, () => {
    const mends = doctor(installed, 'wasm').checks.flatMap(({ mend }) => mend ?? []);
    assert(mends.includes('duo setup'), mends.join('; '));
    assert.deepEqual(
      complete(installed, 'auto').map(({ code }) => code),
      ['tensorflow_missing'],
    );
    assert.equal(duo(installed, tinyCommand(installed.home, 'tensorflow')).code, 4);
  });
  await check(`${title}: without a network duo setup fails with exit 4, and wasm goes on working`, () => {
    const empty = join(installed.prefix, 'empty-cache');
    const environment = { npm_config_cache: empty, PIP_CACHE_DIR: empty };
    const { error } = duoJson(installed, ['setup'], 4, { noNetwork: true, environment }) as { error: { hint: string } };
    assert.match(error.hint, /wasm/);
    doctor(installed, 'wasm', { noNetwork: true });
    complete(installed, 'auto', { noNetwork: true });
  });
  await check(`${title}: duo setup sets TensorFlow up in ${expectedSite}`, () => assert.equal(setUp(installed).site, expectedSite));
  await check(`${title}: TensorFlow is taken, without a network too`, () => {
    doctor(installed, 'tensorflow');
    assert.deepEqual(complete(installed, 'auto'), []);
    assert.deepEqual(complete(installed, 'tensorflow', { noNetwork: true }), []);
    complete(installed, 'wasm', { noNetwork: true });
  });
  await check(`${title}: a second set-up does nothing`, () => {
    const statuses = new Set(setUp(installed, { noNetwork: true }).steps.map(({ status }) => status));
    assert.deepEqual([...statuses], ['kept']);
  });
}

/** A program that uses the library's types must compile and run. */
function testLibrary(folder: string, installed: Installed): void {
  const consumer = join(folder, 'consumer');
  mkdirSync(join(consumer, 'node_modules'), { recursive: true });
  symlinkSync(packageDir(installed), join(consumer, 'node_modules', 'duo-attention'));
  const program = `import { DuoError, HybridCache, cacheBytes, readPattern, runLoop, toMask, type Mask, type Pattern } from 'duo-attention';
const mask: Mask = toMask({ gates: [[0.1, 0.9]] }, { by: 'retrievalRatio', value: 0.5 });
const read: (path: string) => Pattern = (path) => readPattern(path, { warn: () => undefined });
try { read('nowhere'); } catch (error) { if (!(error instanceof DuoError) || error.exitCode !== 2) throw error; }
console.log(JSON.stringify([mask, typeof HybridCache, typeof runLoop, typeof cacheBytes]));
`;
  writeFileSync(join(consumer, 'program.ts'), program);
  writeFileSync(join(consumer, 'package.json'), JSON.stringify({ type: 'module' }));
  const flags = ['--strict', '--module', 'nodenext', '--target', 'es2022', '--lib', 'es2023,dom', '--skipLibCheck'];
  succeed(process.execPath, [join(PACKAGE_ROOT, 'node_modules', 'typescript', 'bin', 'tsc'), ...flags, 'program.ts'], { cwd: consumer });
  const output = succeed(process.execPath, ['program.js'], { cwd: consumer });
  assert.equal(output.trim(), '[[[false,true]],"function","function","function"]');
}

function testInterrupted(installed: Installed): void {
  const site = join(packageDir(installed), 'node_modules', TFJS);
  rmSync(join(site, 'lib'), { recursive: true });
  doctor(installed, 'wasm');
  const done = setUp(installed, { noNetwork: true }).steps.filter(({ status }) => status === 'done');
  assert.deepEqual(
    done.map(({ step }) => step),
    ['binding', 'operations'],
  );
  doctor(installed, 'tensorflow');
}

/** With the package's folder read-only, TensorFlow goes to DUO_HOME; its libraries are named, so no download is needed. */
function testReadOnly(installed: Installed, libraries: string, home: string): void {
  const inside = `mount --bind -o ro '${installed.prefix}' '${installed.prefix}' && exec '${join(installed.prefix, 'bin', 'duo')}' "$@"`;
  const environment = { DUO_HOME: home, DUO_LIBTENSORFLOW: libraries };
  const result = run('unshare', ['--map-root-user', '--mount', 'sh', '-c', inside, 'duo', 'setup', '--format', 'json'], { environment });
  assert.equal(result.code, 0, result.stderr);
  assert.equal((JSON.parse(result.stdout) as Setup).result.site, 'home');
}

await withFolder(async (folder) => {
  const { file: archive, paths } = pack(folder);
  await check('npm pack holds what users need and nothing else', () => checkContents(paths));
  await check('the lock file and the package name no registry', () => {
    for (const name of ['package-lock.json', 'package.json'])
      assert.doesNotMatch(readFileSync(join(PACKAGE_ROOT, name), 'utf8'), /"resolved"|registry\./);
  });
  for (const { title, npm, options, site } of WAYS) {
    let made: Installed | undefined;
    await check(`${title}: npm install --global`, () => void (made = install(folder, title.replaceAll(' ', '-'), archive, npm, options)));
    if (made === undefined) continue;
    const installed = made;
    await testInstalled(title, installed, site);
    if (site === 'home') continue;
    await check('the library is importable and typed', () => testLibrary(folder, installed));
    await check('a lost binding is repaired without a network', () => testInterrupted(installed));
    const libraries = join(packageDir(installed), 'node_modules', TFJS, 'deps');
    await check('a read-only package is set up in DUO_HOME', () => testReadOnly(installed, libraries, join(folder, 'read-only-home')));
  }
});
finish();
