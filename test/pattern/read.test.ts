import { execFileSync } from 'node:child_process';
import { mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { InputError } from '../../src/errors.js';
import type { Warning } from '../../src/errors.js';
import { checkShape } from '../../src/pattern/check.js';
import { openPattern, readPattern } from '../../src/pattern/read.js';
import type { ReadOptions } from '../../src/pattern/read.js';
import type { Pattern } from '../../src/pattern/schema.js';
import { formatTsv } from '../../src/pattern/tsv.js';
import { writePattern } from '../../src/pattern/write.js';
import { describeShared, SHARED } from '../helpers/paths.js';
import { calibratedPattern } from '../helpers/patterns.js';
import { temporaryFolder } from '../helpers/temporary.js';

const folder = temporaryFolder();
let count = 0;

/** A new folder with these files; a text `-> target` makes a link. */
function folderWith(files: Readonly<Record<string, string>>): string {
  const path = join(folder, String((count += 1)), 'llama');
  mkdirSync(path, { recursive: true });
  for (const [name, content] of Object.entries(files)) {
    mkdirSync(join(path, name, '..'), { recursive: true });
    if (content.startsWith('-> ')) symlinkSync(content.slice(3), join(path, name));
    else writeFileSync(join(path, name), content);
  }
  return path;
}

function read(path: string, options: Partial<ReadOptions> = {}): { pattern: Pattern; warnings: Warning[] } {
  const warnings: Warning[] = [];
  const pattern = readPattern(path, { warn: (warning) => warnings.push(warning), ...options });
  return { pattern, warnings };
}

const TSV = '1\t0.25\n-0.001\t0.5\n';
const GATES = [
  [1, 0.25],
  [Math.fround(-0.001), 0.5],
];

describe('a pattern directory of ours', () => {
  test('comes back as it was written, gates to the bit', () => {
    const path = join(folder, 'ours');
    const written = calibratedPattern(4, 8);
    writePattern(path, written);
    const { pattern, warnings } = read(path);
    expect(warnings).toEqual([]);
    expect(pattern.gates.map((row) => row.map((gate) => new Uint32Array(Float32Array.of(gate).buffer)[0]))).toEqual(
      written.gates.map((row) => row.map((gate) => new Uint32Array(Float32Array.of(gate).buffer)[0])),
    );
    expect(pattern).toMatchObject({ ...written, windows: { deployed: { sink: 16, recent: 64, block: 1 } } });
    expect(readdirSync(path).sort()).toEqual(['config.json', 'full_attention_heads.tsv', 'pattern.json']);
  });

  test('is read from its pattern.json alone, too', () => {
    const path = join(folder, 'alone');
    writePattern(path, calibratedPattern());
    expect(read(join(path, 'pattern.json')).pattern).toEqual(read(path).pattern);
  });

  test('refuses a config.json, which is for a TSV', () => {
    const path = join(folder, 'with-config');
    writePattern(path, calibratedPattern());
    expect(() => read(path, { config: 'windows.json' })).toThrow('has windows of its own');
  });

  test('keeps its own windows, whatever the flags say of a TSV', () => {
    const path = join(folder, 'windows');
    writePattern(path, calibratedPattern());
    expect(read(path, { sink: 1, recent: 2 }).pattern.windows.deployed).toEqual({ sink: 16, recent: 64, block: 1 });
  });
});

describe('a DuoAttention directory', () => {
  test('gives raw gates, windows, the model name, and where they came from', () => {
    const path = folderWith({
      'full_attention_heads.tsv': TSV,
      'config.json':
        '{"model_name": "models/Some-7B", "sink_size": 128, "recent_size": 256, "streaming_attn_implementation": "blocksparse"}',
    });
    const { pattern } = read(path);
    expect(pattern.gates).toEqual(GATES);
    expect(pattern.model).toEqual({ id: 'Some-7B', layers: 2, kvHeads: 2 });
    expect(pattern.windows).toEqual({
      calibrated: { sink: 128, recent: 256, block: 128 },
      deployed: { sink: 128, recent: 256, block: 1 },
    });
    expect(pattern.source).toMatchObject({ format: 'duo-attention', file: 'full_attention_heads.tsv' });
    expect(openPattern(path, { warn: fail }).tsv?.toString()).toBe(TSV);
  });

  test('a name that would steer the terminal is defused', () => {
    const config = JSON.stringify({ model_name: 'a\u001b[2Jb', sink_size: 4, recent_size: 16 });
    expect(read(folderWith({ 'full_attention_heads.tsv': TSV, 'config.json': config })).pattern.model.id).toBe('a\uFFFD[2Jb');
  });

  test('deploys with deploy_sink_size and deploy_recent_size where they are set', () => {
    const config = '{"sink_size": 128, "recent_size": 256, "deploy_sink_size": 4, "deploy_recent_size": null}';
    const { pattern } = read(folderWith({ 'full_attention_heads.tsv': TSV, 'config.json': config }));
    expect(pattern.windows.deployed).toEqual({ sink: 4, recent: 256, block: 1 });
  });

  test.each([
    ['a symbolic link', '-> run=1/full_attention_heads.tsv'],
    ['a link that git checked out as text', 'run=1/full_attention_heads.tsv'],
  ])('%s to the run inside it is followed', (_title, link) => {
    const path = folderWith({
      'run=1/full_attention_heads.tsv': TSV,
      'full_attention_heads.tsv': link,
      'config.json': '{"sink_size":4,"recent_size":16}',
    });
    expect(read(path).pattern.gates).toEqual(GATES);
  });

  test.each([
    ['a symbolic link out of it', '-> ../outside.tsv', 'leaves the folder'],
    ['a symbolic link to nothing', '-> nothing.tsv', 'leads nowhere'],
    ['a text link out of it', '../full_attention_heads.tsv', 'leaves the folder'],
  ])('%s is refused', (_title, link, message) => {
    const path = folderWith({ 'full_attention_heads.tsv': link, 'config.json': '{"sink_size":4,"recent_size":16}' });
    writeFileSync(join(path, '..', 'outside.tsv'), TSV);
    writeFileSync(join(path, '..', 'full_attention_heads.tsv'), TSV);
    expect(() => read(path)).toThrow(message);
  });

  test.each([
    ['{"recent_size": 16}', 'the pattern config has no sink_size'],
    ['{"sink_size": -1, "recent_size": 16}', 'sink_size must be a non-negative integer, got -1'],
    ['{"sink_size": 4, "recent_size": 0}', 'recent_size must be at least 1 (the current token), got 0'],
    ['{"sink_size": 4.5, "recent_size": 16}', 'sink_size must be an integer, got 4.5'],
    ['{"sink_size": "4", "recent_size": 16}', 'sink_size must be an integer, got a string'],
    ['{"sink_size": 4, "recent_size": 1e300}', 'recent_size must be at most'],
    ['{"sink_size": 4, "recent_size": 16, "deploy_recent_size": 0}', 'deploy_recent_size must be at least 1'],
    ['[]', 'must be a JSON object'],
    ['{', 'not valid JSON'],
    ['['.repeat(100_000), 'nested too deeply'],
  ])('config.json %.50s is refused', (config, message) => {
    const path = folderWith({ 'full_attention_heads.tsv': TSV, 'config.json': config });
    expect(() => read(path)).toThrow(InputError);
    expect(() => read(path)).toThrow(message);
  });

  test('a config.json that says nothing does not matter where the flags give the windows', () => {
    const path = folderWith({ 'full_attention_heads.tsv': TSV, 'config.json': '{}' });
    expect(read(path, { sink: 4, recent: 16 }).pattern.windows).toEqual({ deployed: { sink: 4, recent: 16, block: 1 } });
  });
});

describe('a bare TSV', () => {
  const path = (): string => join(folderWith({ 'some-heads.tsv': TSV }), 'some-heads.tsv');

  test('takes its windows from the flags, or from the config named', () => {
    expect(read(path(), { sink: 4, recent: 16 }).pattern).toMatchObject({
      model: { id: 'some-heads' },
      windows: { deployed: { sink: 4, recent: 16 } },
    });
    const config = join(folderWith({ 'windows.json': '{"sink_size": 5, "recent_size": 17}' }), 'windows.json');
    expect(read(path(), { config }).pattern.windows.deployed).toEqual({ sink: 5, recent: 17, block: 1 });
  });

  test('without any is refused, or read with the defaults and a warning where they do not matter', () => {
    expect(() => read(path())).toThrow('says nothing about windows');
    const { pattern, warnings } = read(path(), { assumeWindow: true });
    expect(pattern.windows.deployed).toEqual({ sink: 64, recent: 256, block: 1 });
    expect(warnings).toEqual([expect.objectContaining({ code: 'pattern_windows' })]);
  });
});

describe('what is no pattern', () => {
  test.each([
    ['a folder without one', () => folderWith({ 'notes.txt': '' }), 'the directory holds no pattern'],
    ['a path that is not there', () => join(folder, 'nowhere'), 'does not exist'],
    ['a file of 5 MiB', () => join(folderWith({ 'a.tsv': ' '.repeat(5 << 20) }), 'a.tsv'), 'too large'],
    ['a device', () => '/dev/zero', 'not a regular file'],
    ['JSON of another kind', () => join(folderWith({ 'a.json': '{"layers": 2}' }), 'a.json'), 'not a pattern of this version'],
    ['a pattern.json of the wrong shape', () => mismatched({ gates: [[1, 2]] }), 'gates: 1 rows, but model.layers is 2'],
    ['a pattern.json with a ragged row', () => mismatched({ gates: [[1, 2, 3, 4], [1]] }), 'row 2 has 1 values'],
    ['a pattern.json with a name that steers the terminal', () => mismatched({ tool: '\u001b[2J' }), 'tool: control characters'],
    ['a pattern.json with too many rows', () => mismatched({ gates: new Array(1025).fill([1]) }), 'gates: a list of 1 to 1024 items'],
    ["a pattern.json with the model's own window of one layer of two", () => withWindows([100]), '1 entries, but model.layers is 2'],
    ['a pattern.json with a window of no tokens', () => withWindows([null, 0]), 'model.layerWindows[1]'],
    ['a pattern.json with null in place of a gate', () => mismatched({ gates: [[1, 2, 3, null]] }), 'gates[0][3]'],
    ['a pattern.json with a gate beyond float32', () => mismatched({ gates: [[1, 2, 3, 1e39]] }), 'gates[0][3]'],
  ])('%s is refused', (_title, path, message) => {
    const given = path();
    expect(() => read(given)).toThrow(InputError);
    expect(() => read(given)).toThrow(message);
  });

  function mismatched(change: object): string {
    return folderWith({ 'pattern.json': JSON.stringify({ ...calibratedPattern(2, 4), ...change }) });
  }

  function withWindows(layerWindows: (number | null)[]): string {
    return mismatched({ model: { ...calibratedPattern(2, 4).model, layerWindows } });
  }

  test('a pipe is refused at once', () => {
    const path = join(folder, 'pipe.tsv');
    execFileSync('mkfifo', [path]);
    expect(() => read(path)).toThrow('not a regular file');
  });
});

function fail(warning: Warning): never {
  throw new Error(warning.message);
}

/** Every folder below `root` that holds a TSV. */
function patternFolders(root: string): string[] {
  return readdirSync(root, { recursive: true, encoding: 'utf8' })
    .filter((file) => file.endsWith('full_attention_heads.tsv'))
    .map((file) => join(root, file, '..'));
}

describeShared('published patterns', () => {
  const root = join(SHARED, 'patterns', 'published');
  const shapes: Readonly<Record<string, readonly [layers: number, kvHeads: number, atOne: number]>> = {
    'Llama-2-7B-32K-Instruct': [32, 32, 145],
    'Llama-3-8B-Instruct-Gradient-1048k': [32, 8, 82],
    'Llama-3-8B-Instruct-Gradient-4194k': [32, 8, 80],
    'Meta-Llama-3.1-8B-Instruct': [32, 8, 57],
    'Mistral-7B-Instruct-v0.2': [32, 8, 110],
    'Mistral-7B-Instruct-v0.3': [32, 8, 107],
    'Mixtral-8x7B-Instruct-v0.1': [32, 8, 91],
  };

  test('all import without a warning, raw, with their windows and settings', () => {
    const seen = new Set<string>();
    for (const path of patternFolders(root)) {
      const pattern = readPattern(path, { warn: fail });
      const [layers, kvHeads, atOne] = shapes[pattern.model.id] ?? [0, 0, 0];
      expect([pattern.model.id, pattern.model.layers, pattern.model.kvHeads]).toEqual([pattern.model.id, layers, kvHeads]);
      expect(pattern.gates.flat().filter((gate) => gate === 1)).toHaveLength(atOne);
      expect(pattern.windows).toEqual({
        calibrated: { sink: 128, recent: 256, block: 128 },
        deployed: { sink: 128, recent: 256, block: 1 },
      });
      expect(Object.keys(pattern.source?.config ?? {})).toHaveLength(45);
      seen.add(pattern.model.id);
    }
    expect([...seen].sort()).toEqual(Object.keys(shapes));
  });

  test('negative gates are kept as they are', () => {
    const path = patternFolders(root).find((found) => found.includes('Llama-2-7B')) ?? '';
    const gates = readPattern(path, { warn: fail }).gates.flat();
    expect(gates.filter((gate) => gate < 0).length).toBeGreaterThan(200);
  });

  test('their raw gates, printed, are their bytes', () => {
    for (const path of patternFolders(root)) {
      const { pattern, tsv } = openPattern(path, { warn: fail });
      expect([pattern.model.id, Buffer.compare(Buffer.from(formatTsv(pattern.gates)), tsv ?? Buffer.of())]).toEqual([pattern.model.id, 0]);
    }
  });

  test('imported, written and read again they are the same pattern', () => {
    patternFolders(root).forEach((path, i) => {
      const pattern = readPattern(path, { warn: fail });
      writePattern(join(folder, `published-${i}`), pattern);
      expect(readPattern(join(folder, `published-${i}`), { warn: fail })).toEqual(pattern);
    });
  });
});

interface MalformedEntry {
  readonly path: string;
  readonly expect: 'ok' | 'error' | 'ok-or-error';
  readonly error: string;
}

describeShared('malformed patterns', () => {
  const root = join(SHARED, 'golden', 'malformed');

  test('every one is refused by name, and every control is read', () => {
    const entries = (JSON.parse(readFileSync(join(root, 'EXPECTED.json'), 'utf8')) as MalformedEntry[]).filter(({ path }) =>
      path.startsWith('patterns/'),
    );
    expect(entries).toHaveLength(38);
    for (const entry of entries) expect({ ...entry, outcome: outcomeOf(entry) }).toEqual({ ...entry, outcome: wanted(entry) });
  });

  function wanted({ expect: wish }: MalformedEntry): unknown {
    if (wish === 'ok-or-error') return expect.stringMatching(/read|refused/);
    return wish === 'ok' ? 'read' : 'refused';
  }

  function outcomeOf({ path }: MalformedEntry): string {
    const file = join(root, path);
    const isConfig = path.endsWith('.json');
    try {
      const { pattern } = read(isConfig ? join(root, 'patterns', 'ok.tsv') : file, {
        assumeWindow: true,
        ...(isConfig ? { config: file } : {}),
      });
      checkShape(pattern, { layers: 2, kvHeads: 4 });
      return 'read';
    } catch (error) {
      if (error instanceof InputError) return 'refused';
      throw error;
    }
  }
});
