import { mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { GateError, InputError } from '../../src/errors.js';
import { resolveCut } from '../../src/pattern/cut.js';
import type { ExportContent } from '../../src/pattern/formats/format.js';
import { FORMATS, verifyExport, writeExport } from '../../src/pattern/formats/index.js';
import type { FormatName } from '../../src/pattern/formats/index.js';
import { patternHash } from '../../src/pattern/hash.js';
import { readPattern } from '../../src/pattern/read.js';
import { parsePattern } from '../../src/pattern/schema.js';
import { calibratedPattern } from '../helpers/patterns.js';
import { temporaryFolder } from '../helpers/temporary.js';

const root = temporaryFolder();
const names = Object.keys(FORMATS) as FormatName[];
const pattern = parsePattern(calibratedPattern(5, 3, 21), 'test');
const cut = resolveCut(pattern, { by: 'retrievalRatio', value: 0.4 });
const withCut: ExportContent = { pattern, cut };

let count = 0;
const newFolder = (): string => join(root, String((count += 1)));

interface Heads {
  readonly gates: readonly (readonly number[])[];
  readonly windows: readonly number[];
  readonly mask?: readonly (readonly number[])[];
}

const rows = (values: readonly number[], width: number): number[][] =>
  Array.from({ length: values.length / width }, (_, row) => values.slice(row * width, (row + 1) * width));

/** NumPy's reader, from the description of the format: the header is a Python dict. */
function readNpy(path: string): { descr: string; shape: number[]; values: number[] } {
  const bytes = readFileSync(path);
  expect(bytes.subarray(0, 8).toString('latin1')).toBe('\x93NUMPY\x01\x00');
  const start = 10 + bytes.readUInt16LE(8);
  const header = bytes.toString('latin1', 10, start);
  expect([start % 64, header.endsWith('\n')]).toEqual([0, true]);
  const [, descr = '', order, shapeText = ''] =
    /^\{'descr': '([^']+)', 'fortran_order': (\w+), 'shape': \(([^)]*)\), \} *\n$/.exec(header) ?? [];
  expect(order).toBe('False');
  const shape = shapeText
    .split(',')
    .filter((part) => part.trim() !== '')
    .map(Number);
  const size = descr === '|b1' ? 1 : 4;
  const length = shape.reduce((product, n) => product * n, 1);
  expect(bytes.length - start).toBe(length * size);
  const one = {
    '<f4': (i: number) => bytes.readFloatLE(i),
    '<i4': (i: number) => bytes.readInt32LE(i),
    '|b1': (i: number) => bytes.readUInt8(i),
  };
  const read = one[descr as keyof typeof one];
  return { descr, shape, values: Array.from({ length }, (_, i) => read(start + i * size)) };
}

/** The safetensors reader, from the description of the format. */
function readSafetensors(path: string): {
  metadata: Record<string, string>;
  tensors: Record<string, { dtype: string; shape: number[]; values: number[] }>;
} {
  const bytes = readFileSync(path);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const start = 8 + Number(view.getBigUint64(0, true));
  expect(start % 8).toBe(0);
  const { __metadata__, ...entries } = JSON.parse(bytes.toString('utf8', 8, start)) as Record<string, never> & {
    __metadata__: Record<string, string>;
  };
  const sizes: Record<string, number> = { F32: 4, I32: 4, BOOL: 1 };
  let covered = 0;
  const tensors = Object.entries(entries as Record<string, { dtype: string; shape: number[]; data_offsets: [number, number] }>).map(
    ([name, entry]) => {
      const [from, to] = entry.data_offsets;
      expect(from).toBe(covered);
      covered = to;
      const size = sizes[entry.dtype] ?? NaN;
      expect((start + from) % size).toBe(0);
      const values = Array.from({ length: (to - from) / size }, (_, i) => {
        const offset = start + from + i * size;
        return entry.dtype === 'F32'
          ? view.getFloat32(offset, true)
          : entry.dtype === 'I32'
            ? view.getInt32(offset, true)
            : view.getUint8(offset);
      });
      return [name, { dtype: entry.dtype, shape: entry.shape, values }];
    },
  );
  expect(start + covered).toBe(bytes.length);
  return { metadata: __metadata__, tensors: Object.fromEntries(tensors) as never };
}

/** Each format read by a reader that knows nothing of our code. */
const READERS: Readonly<Record<FormatName, (folder: string, hasMask: boolean) => Heads>> = {
  npy: (folder, hasMask) => {
    const [gates, windows] = [readNpy(join(folder, 'gates.npy')), readNpy(join(folder, 'windows.npy'))];
    expect([gates.descr, gates.shape, windows.descr, windows.shape]).toEqual(['<f4', [5, 3], '<i4', [2]]);
    const mask = hasMask ? readNpy(join(folder, 'mask.npy')) : undefined;
    if (mask !== undefined) expect([mask.descr, mask.shape]).toEqual(['|b1', [5, 3]]);
    return { gates: rows(gates.values, 3), windows: windows.values, ...(mask === undefined ? {} : { mask: rows(mask.values, 3) }) };
  },
  safetensors: (folder, hasMask) => {
    const { metadata, tensors } = readSafetensors(join(folder, 'pattern.safetensors'));
    const { gates, windows, mask } = tensors;
    expect([gates?.dtype, gates?.shape, windows?.dtype, windows?.shape]).toEqual(['F32', [5, 3], 'I32', [2]]);
    expect(metadata).toMatchObject({ model: 'tiny', model_hash: 'a'.repeat(64), pattern_hash: patternHash(pattern) });
    expect(Object.values(metadata).every((value) => typeof value === 'string')).toBe(true);
    if (hasMask) expect([mask?.dtype, mask?.shape, metadata['retrieval_ratio']]).toEqual(['BOOL', [5, 3], '0.4']);
    return {
      gates: rows(gates?.values ?? [], 3),
      windows: windows?.values ?? [],
      ...(mask === undefined ? {} : { mask: rows(mask.values, 3) }),
    };
  },
  json: (folder) => {
    const heads = JSON.parse(readFileSync(join(folder, 'heads.json'), 'utf8')) as {
      schema: string;
      gates: number[][];
      windows: { sink: number; recent: number };
      mask?: number[][];
    };
    expect(heads.schema).toBe('duo-heads/1');
    const { gates, windows, mask } = heads;
    return {
      gates: gates.map((row) => row.map(Math.fround)),
      windows: [windows.sink, windows.recent],
      ...(mask === undefined ? {} : { mask }),
    };
  },
  duo: (folder, hasMask) => {
    const config = JSON.parse(readFileSync(join(folder, 'config.json'), 'utf8')) as Record<string, number>;
    const { gates } = JSON.parse(readFileSync(join(folder, 'pattern.json'), 'utf8')) as { gates: number[][] };
    const tsv = readFileSync(join(folder, 'full_attention_heads.tsv'), 'utf8');
    const values = tsv
      .trimEnd()
      .split('\n')
      .map((line) => line.split('\t').map(Number));
    // The k-th highest value is where a reader at sparsity 1 - k/n cuts.
    const full = Math.round((1 - (config['sparsity'] ?? NaN)) * 15);
    const least = values.flat().sort((x, y) => y - x)[full - 1] ?? NaN;
    const mask = values.map((row) => row.map((value) => Number(value >= least)));
    return {
      gates: gates.map((row) => row.map(Math.fround)),
      windows: [config['sink_size'] ?? NaN, config['recent_size'] ?? NaN],
      ...(hasMask ? { mask } : {}),
    };
  },
};

test('there is a reader here for every format of the table', () => {
  expect(names.sort()).toEqual(Object.keys(READERS).sort());
});

describe.each(names)('%s', (name) => {
  const format = FORMATS[name];

  test('an independent reader finds the gates to the bit, the windows, and the mask of the cut', () => {
    const folder = newFolder();
    writeExport(format, withCut, folder, false);
    expect(READERS[name](folder, true)).toEqual({
      gates: pattern.gates,
      windows: [16, 64],
      mask: cut.mask.map((row) => row.map(Number)),
    });
  });

  test('without a cut there is no mask', () => {
    const folder = newFolder();
    const written = writeExport(format, { pattern }, folder, false);
    expect(READERS[name](folder, false)).toEqual({ gates: pattern.gates, windows: [16, 64] });
    expect(written.some((path) => path.includes('mask'))).toBe(false);
  });

  test('reads back as the same, and says what it compared', () => {
    const folder = newFolder();
    writeExport(format, withCut, folder, false);
    const checks = verifyExport(format, withCut, folder);
    expect(checks.every(({ same }) => same)).toBe(true);
    expect(checks.map(({ what }) => what).join('; ')).toMatch(/gates: 5 x 3 float32, to the bit; windows: sink 16, recent 64/);
  });

  test('a flipped bit in any file is found when reading back', () => {
    for (const [file] of format.write(withCut)) {
      const folder = newFolder();
      writeExport(format, withCut, folder, false);
      const bytes = readFileSync(join(folder, file));
      // The last byte that carries data: text files end with a line feed, or a bracket and one.
      const last = bytes.findLastIndex((byte) => file.endsWith('y') || file.endsWith('s') || (byte >= 0x30 && byte <= 0x39));
      bytes[last] = (bytes[last] ?? 0) ^ 1;
      writeFileSync(join(folder, file), bytes);
      expect(() => verifyExport(format, withCut, folder)).toThrow(GateError);
    }
  });

  test('a file that is cut short is found when reading back', () => {
    for (const [file] of format.write(withCut)) {
      const folder = newFolder();
      writeExport(format, withCut, folder, false);
      writeFileSync(join(folder, file), readFileSync(join(folder, file)).subarray(0, 5));
      expect(() => verifyExport(format, withCut, folder)).toThrow(GateError);
    }
  });

  test('is not written over files of other content unless asked to; the same content is no matter', () => {
    const folder = newFolder();
    const [first = ''] = format.files;
    mkdirSync(folder);
    writeFileSync(join(folder, first), 'notes of mine');
    expect(() => writeExport(format, withCut, folder, false)).toThrow(InputError);
    expect(readdirSync(folder)).toEqual([first]);
    writeExport(format, withCut, folder, true);
    writeExport(format, withCut, folder, false);
    expect(verifyExport(format, withCut, folder)).not.toHaveLength(0);
  });

  test('tells how to load it, naming the folder', () => {
    expect(format.load('some/folder', withCut).join('\n')).toContain('some/folder');
  });
});

test('a mask of an earlier export does not stay beside new gates', () => {
  const folder = newFolder();
  writeExport(FORMATS.npy, withCut, folder, false);
  expect(() => writeExport(FORMATS.npy, { pattern }, folder, false)).toThrow('mask.npy');
  writeExport(FORMATS.npy, { pattern }, folder, true);
  expect(readdirSync(folder).sort()).toEqual(['gates.npy', 'windows.npy']);
});

test('a link is not written through', () => {
  const folder = newFolder();
  mkdirSync(folder);
  writeFileSync(join(root, 'outside'), 'mine');
  symlinkSync(join(root, 'outside'), join(folder, 'heads.json'));
  expect(() => writeExport(FORMATS.json, withCut, folder, false)).toThrow('heads.json');
  writeExport(FORMATS.json, withCut, folder, true);
  expect(readFileSync(join(root, 'outside'), 'utf8')).toBe('mine');
});

test('the output may not be a file', () => {
  writeFileSync(join(root, 'a-file'), '');
  expect(() => writeExport(FORMATS.json, withCut, join(root, 'a-file'), true)).toThrow('not a directory');
});

test('exported as duo and read again, a pattern is the same to the bit', () => {
  const folder = newFolder();
  writeExport(FORMATS.duo, withCut, folder, false);
  const read = readPattern(folder, { warn: (warning) => fail(warning.message) });
  expect(read).toEqual(pattern);
});

test('a verbatim TSV is copied byte for byte, odd line ends and all', () => {
  const folder = newFolder();
  const verbatimTsv = Buffer.from('1\t0\t0.5\r\n0.25\t1\t1');
  writeExport(FORMATS.duo, { pattern, verbatimTsv }, folder, false);
  expect(readFileSync(join(folder, 'full_attention_heads.tsv'))).toEqual(verbatimTsv);
  expect(verifyExport(FORMATS.duo, { pattern, verbatimTsv }, folder).map(({ what }) => what)).toContain(
    'full_attention_heads.tsv: 17 bytes as imported',
  );
});

function fail(message: string): never {
  throw new Error(message);
}
