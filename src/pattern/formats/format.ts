/** What an export format is: one row of the table in index.ts. */
import type { ResolvedCut } from '../cut.js';
import type { Mask, Pattern } from '../schema.js';

export interface ExportContent {
  readonly pattern: Pattern;
  /** Present when a ratio, threshold or budget was given: the mask is exported too. */
  readonly cut?: ResolvedCut | undefined;
  /** Bytes of the imported TSV, to be copied as they are. */
  readonly verbatimTsv?: Uint8Array | undefined;
}

export type ExportFiles = ReadonlyMap<string, string | Uint8Array>;

/** One thing that was read back and compared. */
export interface Check {
  readonly what: string;
  readonly same: boolean;
}

/** Bytes of an exported file, by name. */
export type ReadFile = (name: string) => Uint8Array;

export interface PatternFormat {
  readonly name: string;
  /** One line: files, arrays, dtypes, shapes and order. */
  readonly writes: string;
  /** Every file the format may write; one that is not written must not be left from an earlier export. */
  readonly files: readonly string[];
  readonly write: (content: ExportContent) => ExportFiles;
  /** Lines that say how to load what was written into `folder`. */
  readonly load: (folder: string, content: ExportContent) => readonly string[];
  /** Reads the files back and compares them with what was to be written. */
  readonly verify: (read: ReadFile, content: ExportContent) => readonly Check[];
}

/** What the array formats carry. */
export interface Arrays {
  readonly gates: Float32Array; // (layers, kvHeads), layer-major
  readonly windows: Int32Array; // (2): sink, recent
  readonly mask: Uint8Array | undefined; // (layers, kvHeads), 1 = retrieval
}

export function arraysOf({ pattern, cut }: ExportContent): Arrays {
  const { sink, recent } = pattern.windows.deployed;
  return {
    gates: Float32Array.from(pattern.gates.flat()),
    windows: Int32Array.of(sink, recent),
    mask: cut === undefined ? undefined : flatMask(cut.mask),
  };
}

export function flatMask(mask: Mask): Uint8Array {
  return Uint8Array.from(mask.flat(), Number);
}

/** Compares arrays to the bit. */
export function compareArrays(found: Arrays, content: ExportContent): readonly Check[] {
  const wanted = arraysOf(content);
  const { layers, kvHeads } = content.pattern.model;
  const checks = [
    { what: `gates: ${layers} x ${kvHeads} float32, to the bit`, same: sameBytes(found.gates, wanted.gates) },
    { what: `windows: sink ${wanted.windows[0]}, recent ${wanted.windows[1]}`, same: sameBytes(found.windows, wanted.windows) },
  ];
  if (wanted.mask === undefined) return checks;
  const full = wanted.mask.reduce((sum, value) => sum + value, 0);
  const what = `mask: ${full} of ${wanted.mask.length} heads full`;
  return [...checks, { what, same: found.mask !== undefined && sameBytes(found.mask, wanted.mask) }];
}

function sameBytes(a: ArrayBufferView, b: ArrayBufferView): boolean {
  const bytes = (view: ArrayBufferView): Uint8Array => new Uint8Array(view.buffer, view.byteOffset, view.byteLength);
  return Buffer.compare(bytes(a), bytes(b)) === 0;
}
