import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { PACKAGE_ROOT } from '../../src/version.js';

const { missingPackages, staleFiles } = (await import(pathToFileURL(join(PACKAGE_ROOT, 'scripts', 'bootstrap.mjs')).href)) as {
  missingPackages: (root: string) => string[];
  staleFiles: (root: string) => string[];
};

let root = '';
beforeEach(() => void (root = mkdtempSync(join(tmpdir(), 'duo-test-'))));
afterEach(() => rmSync(root, { recursive: true }));

type Versions = Readonly<Record<string, string>>;

function write(path: string, value: unknown): void {
  mkdirSync(dirname(join(root, path)), { recursive: true });
  writeFileSync(join(root, path), JSON.stringify(value));
}

/** A checkout that wants `wanted`, with `installed` in node_modules; packages named opt-* are optional. */
function checkout(wanted: Versions, installed: Versions): void {
  const entries = (versions: Versions): object =>
    Object.fromEntries(
      Object.entries(versions).map(([name, version]) => [
        `node_modules/${name}`,
        { version, ...(name.startsWith('opt-') ? { optional: true } : {}) },
      ]),
    );
  write('package-lock.json', { packages: { '': { version: '0.1.0' }, ...entries(wanted) } });
  if (Object.keys(installed).length === 0) return;
  write('node_modules/.package-lock.json', { packages: entries(installed) });
  for (const name of Object.keys(installed)) write(`node_modules/${name}/package.json`, {});
}

describe('the bootstrap script', () => {
  test.each<[string, Versions, Versions, string[]]>([
    ['nothing when everything is installed', { a: '1.0.0', b: '2.0.0' }, { a: '1.0.0', b: '2.0.0' }, []],
    ['everything in a fresh clone', { a: '1.0.0', b: '2.0.0' }, {}, ['node_modules/a', 'node_modules/b']],
    ['what the lock file changed', { a: '1.1.0', b: '2.0.0' }, { a: '1.0.0', b: '2.0.0' }, ['node_modules/a']],
    ['no optional package that this platform lacks', { a: '1.0.0', 'opt-b': '1.0.0' }, { a: '1.0.0' }, []],
  ])('installs %s', (_case, wanted, installed, missing) => {
    checkout(wanted, installed);
    expect(missingPackages(root)).toEqual(missing);
  });

  test('installs again what was deleted by hand', () => {
    checkout({ a: '1.0.0' }, { a: '1.0.0' });
    rmSync(join(root, 'node_modules/a'), { recursive: true });
    expect(missingPackages(root)).toEqual(['node_modules/a']);
  });

  test('finds nothing to install in this checkout', () => {
    expect(missingPackages(PACKAGE_ROOT)).toEqual([]);
  });

  test('removes what was compiled from sources that are gone', () => {
    for (const path of ['src/kept.ts', 'src/view.tsx']) write(path, '');
    for (const path of ['kept.js', 'kept.d.ts', 'view.js', 'gone.js', 'gone.d.ts']) write(`dist/src/${path}`, '');
    write('dist/.tsbuildinfo', '');
    expect(staleFiles(root).sort()).toEqual(['dist/src/gone.d.ts', 'dist/src/gone.js']);
  });
});
