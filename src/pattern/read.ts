/** Reads a pattern from a pattern directory, a DuoAttention directory, a pattern.json or a bare TSV. Every file is a stranger's. */
import { basename, join, resolve } from 'node:path';
import { InputError } from '../errors.js';
import type { Warn } from '../errors.js';
import { sha256 } from '../files.js';
import { parseJson } from '../json.js';
import { readBounded } from '../untrusted.js';
import { TOOL } from '../version.js';
import { CONFIG_NAME, parseDuoConfig } from './duo-config.js';
import type { DuoConfig } from './duo-config.js';
import { exists, folderOf, isDirectory, MAX_CONFIG_BYTES, MAX_PATTERN_BYTES, readInside } from './files.js';
import { PATTERN_NAME } from './pattern-json.js';
import { MAX_LABEL, parsePattern, PATTERN_SCHEMA } from './schema.js';
import type { Pattern } from './schema.js';
import { parseTsv, TSV_NAME } from './tsv.js';

/** Windows taken for a bare TSV by a caller that can do without: this tool's defaults, tokens. */
const ASSUMED = { sink: 64, recent: 256 } as const;

export interface ReadOptions {
  readonly warn: Warn;
  /** The config.json of a TSV, where it is not the one beside it. */
  readonly config?: string | undefined;
  /** Deployed window of a TSV; goes before its config.json. Patterns of ours keep their own. */
  readonly sink?: number | undefined;
  readonly recent?: number | undefined;
  /** Take 64 and 256, with a warning, where a TSV comes with no windows at all; otherwise that is an error. */
  readonly assumeWindow?: boolean | undefined;
}

export interface OpenedPattern {
  readonly pattern: Pattern;
  /** Bytes of the TSV the gates were imported from; absent for patterns of ours. */
  readonly tsv?: Uint8Array;
}

/** The pattern at `path`. @throws InputError naming the file, and for a TSV the row and column, that is wrong. */
export function readPattern(path: string, options: ReadOptions): Pattern {
  return openPattern(path, options).pattern;
}

/** As `readPattern`, with the bytes of an imported TSV. */
export function openPattern(path: string, options: ReadOptions): OpenedPattern {
  if (isDirectory(path)) {
    if (exists(join(path, PATTERN_NAME))) return ownPattern(readInside(path, PATTERN_NAME, MAX_PATTERN_BYTES), path, options);
    if (exists(join(path, TSV_NAME)))
      return importTsv(readInside(path, TSV_NAME, MAX_PATTERN_BYTES), { path, folder: path, file: TSV_NAME }, options);
    throw new InputError({
      code: 'pattern_missing',
      what: 'the directory holds no pattern',
      given: path,
      expected: `${PATTERN_NAME}, or ${TSV_NAME} with ${CONFIG_NAME}`,
    });
  }
  const bytes = readBounded(path, MAX_PATTERN_BYTES);
  if (path.endsWith('.json')) return ownPattern(bytes, path, options);
  return importTsv(bytes, { path, folder: folderOf(path), file: basename(path) }, options);
}

function ownPattern(bytes: Buffer, path: string, { config }: ReadOptions): OpenedPattern {
  if (config !== undefined)
    throw new InputError({
      code: 'pattern_config',
      what: `a ${PATTERN_NAME} has windows of its own; a config.json is for a TSV`,
      given: config,
      hint: '--sink and --recent name other windows',
    });
  return { pattern: parsePattern(parseJson(bytes, PATTERN_NAME, path), path) };
}

interface TsvPlace {
  /** As the user named it, for messages. */
  readonly path: string;
  readonly folder: string;
  readonly file: string;
}

function importTsv(tsv: Buffer, place: TsvPlace, options: ReadOptions): OpenedPattern {
  const gates = parseTsv(tsv.toString('utf8'), place.path, options.warn);
  const config = readConfig(place.folder, options);
  const named = basename(resolve(place.file === TSV_NAME ? place.folder : place.path)).replace(/\.tsv$/, '');
  const raw = {
    schema: PATTERN_SCHEMA,
    tool: TOOL,
    model: { id: label(config?.modelName ?? named), layers: gates.length, kvHeads: gates[0]?.length ?? 0 },
    gates,
    windows: windowsOf(config, place, options),
    source: {
      format: 'duo-attention',
      file: label(place.file),
      sha256: sha256(tsv),
      ...(config === undefined ? {} : { config: config.raw }),
    },
  };
  return { pattern: parsePattern(raw, place.path), tsv };
}

/** A name as the schema takes it, whatever a stranger put into it. */
function label(name: string): string {
  return name.replaceAll(/\p{Cc}/gu, '\uFFFD').slice(0, MAX_LABEL);
}

/** The config.json named, or else the one beside the TSV; undefined when there is none, or when the flags say all it would. */
function readConfig(folder: string, { config, sink, recent }: ReadOptions): DuoConfig | undefined {
  if (config !== undefined) return parseDuoConfig(parseJson(readBounded(config, MAX_CONFIG_BYTES), basename(config), config), config);
  const path = join(folder, CONFIG_NAME);
  if (!exists(path)) return undefined;
  try {
    return parseDuoConfig(parseJson(readInside(folder, CONFIG_NAME, MAX_CONFIG_BYTES), CONFIG_NAME, path), path);
  } catch (error) {
    // Some readers ignore what config.json holds, so it need not be of use where the windows are given.
    if (error instanceof InputError && sink !== undefined && recent !== undefined) return undefined;
    throw error;
  }
}

function windowsOf(config: DuoConfig | undefined, place: TsvPlace, options: ReadOptions): Pattern['windows'] {
  const found = config?.windows.deployed;
  const [sink, recent] = [options.sink ?? found?.sink, options.recent ?? found?.recent];
  if (sink !== undefined && recent !== undefined) return { ...config?.windows, deployed: { sink, recent, block: 1 } };
  if (options.assumeWindow !== true)
    throw new InputError({
      code: 'pattern_windows',
      what: 'the TSV says nothing about windows and there is no config.json beside it',
      given: place.path,
      expected: 'sink and recent, in tokens',
      hint: '--sink 64 --recent 256, or a config.json with sink_size and recent_size',
    });
  options.warn({
    code: 'pattern_windows',
    message: `${place.path} comes with no windows; sink ${ASSUMED.sink} and recent ${ASSUMED.recent} are taken`,
    hint: '--sink and --recent, or a config.json with sink_size and recent_size',
  });
  return { deployed: { sink: sink ?? ASSUMED.sink, recent: recent ?? ASSUMED.recent, block: 1 } };
}
