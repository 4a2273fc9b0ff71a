/**
 * A run directory, runs/<verb>/<UTC>-<id>/:
 *
 *   config.resolved.json   the settings and their hash; a run with the same hash resumes here
 *   env.json               where each session ran
 *   results.jsonl          append-only, one keyed row a line; a torn last line is dropped
 *   anything else          written whole (summary.json, figures)
 */
import { appendFileSync, existsSync, lstatSync, mkdirSync, readdirSync, statSync, truncateSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { z } from 'zod';
import { InputError, InternalError } from '../errors.js';
import { canonicalJson, sha256, writeFileAtomic, writeJsonAtomic } from '../files.js';
import { parseJson } from '../json.js';
import { readUnlinked } from '../untrusted.js';
import { TOOL } from '../version.js';
import type { SessionEnvironment } from './environment.js';

export const RUN_SCHEMA = 'duo-run-directory/1';

/** Largest results file read back, bytes: far above any grid, and half of what fits a string. */
const MAX_RESULTS_BYTES = 1 << 28;
/** Largest small JSON file of a run read back, bytes. */
const MAX_JSON_BYTES = 1 << 24;

const CONFIG = 'config.resolved.json';
const ENVIRONMENT = 'env.json';
const RESULTS = 'results.jsonl';

const configSchema = z.object({ schema: z.literal(RUN_SCHEMA), hash: z.string() });
const environmentSchema = z.object({ sessions: z.array(z.record(z.string(), z.unknown())) });

/** What every row has; the key names the cell and is unique within the run. */
export interface KeyedRow {
  readonly key: string;
}

export interface RunOptions<Row extends KeyedRow> {
  /** Command, and folder under runs/. */
  readonly verb: string;
  /** All that decides the results, hashes of model and pattern included: the same hash means the same run. */
  readonly config: Readonly<Record<string, unknown>>;
  readonly rowSchema: z.ZodType<Row>;
  /** This directory instead of runs/<verb>/<UTC>-<id>. */
  readonly output?: string | undefined;
  /** Start again where an equal run was left. */
  readonly fresh?: boolean | undefined;
  /** Folder of all runs; default `runs` under the working directory. */
  readonly root?: string;
  readonly now?: Date;
}

/**
 * Opens a run directory: the newest with the same configuration, or a new one.
 * @throws InputError when `output` holds another run, or its results cannot be read.
 */
export function openRun<Row extends KeyedRow>(options: RunOptions<Row>): RunDirectory<Row> {
  const hash = sha256(canonicalJson(options.config));
  const place = locate(options, hash);
  mkdirSync(place.path, { recursive: true });
  if (!place.resumed) {
    writeJsonAtomic(join(place.path, CONFIG), { schema: RUN_SCHEMA, tool: TOOL, verb: options.verb, hash, config: options.config });
    writeJsonAtomic(join(place.path, ENVIRONMENT), { sessions: [] });
    writeFileSync(join(place.path, RESULTS), '');
  }
  return new RunDirectory(place.path, hash, place.resumed, readRows(join(place.path, RESULTS), options.rowSchema));
}

export class RunDirectory<Row extends KeyedRow> {
  readonly path: string;
  /** SHA-256 of the configuration. */
  readonly hash: string;
  /** An earlier session's rows are here. */
  readonly resumed: boolean;
  readonly #rows: Map<string, Row>;

  constructor(path: string, hash: string, resumed: boolean, rows: ReadonlyMap<string, Row>) {
    this.path = path;
    this.hash = hash;
    this.resumed = resumed;
    this.#rows = new Map(rows);
  }

  /** All rows so far by key, in the order they were written. */
  get rows(): ReadonlyMap<string, Row> {
    return this.#rows;
  }

  /** Adds a row on disk and here. */
  append(row: Row): void {
    if (this.#rows.has(row.key)) throw new InternalError(`row ${row.key} written twice`);
    appendFileSync(join(this.path, RESULTS), `${JSON.stringify(row)}\n`);
    this.#rows.set(row.key, row);
  }

  /** Adds this session to env.json. */
  recordSession(environment: SessionEnvironment): void {
    const file = join(this.path, ENVIRONMENT);
    const before = existsSync(file) ? environmentSchema.safeParse(readJson(file)) : undefined;
    writeJsonAtomic(file, { sessions: [...(before?.success ? before.data.sessions : []), environment] });
  }

  /** Writes a file of the run whole; gives its path. */
  write(name: string, content: string | Uint8Array): string {
    const path = join(this.path, name);
    writeFileAtomic(path, content);
    return path;
  }

  writeJson(name: string, value: unknown): string {
    return this.write(name, `${JSON.stringify(value, null, 2)}\n`);
  }
}

interface Place {
  readonly path: string;
  readonly resumed: boolean;
}

function locate(options: Omit<RunOptions<KeyedRow>, 'rowSchema'>, hash: string): Place {
  if (options.output !== undefined) return locateNamed(options.output, hash, options.fresh === true);
  const folder = join(options.root ?? 'runs', options.verb);
  const id = hash.slice(0, 8);
  const equal =
    options.fresh === true
      ? undefined
      : listFolder(folder)
          .filter((name) => name.includes(`-${id}`))
          .sort()
          .reverse()
          .map((name) => join(folder, name))
          .find((path) => hashOf(path) === hash);
  return equal === undefined
    ? { path: unused(join(folder, `${stamp(options.now ?? new Date())}-${id}`)), resumed: false }
    : { path: equal, resumed: true };
}

function locateNamed(path: string, hash: string, fresh: boolean): Place {
  if (existsSync(path) && !statSync(path).isDirectory())
    throw new InputError({ code: 'output_not_directory', what: 'the output is not a directory', given: path });
  const found = hashOf(path);
  if (found === undefined && listFolder(path).length > 0) {
    throw new InputError({
      code: 'output_in_use',
      what: 'the output directory holds other files',
      given: path,
      expected: 'an empty or new directory, or one of an earlier run',
    });
  }
  if (found === undefined || fresh) return { path, resumed: false };
  if (found === hash) return { path, resumed: true };
  throw new InputError({
    code: 'run_differs',
    what: 'the output directory holds a run with other settings',
    given: path,
    expected: `a run with configuration hash ${hash.slice(0, 8)}, found ${found.slice(0, 8)}`,
    hint: 'give another --output, or --fresh to replace that run',
  });
}

/** The name is taken only when two new runs of one configuration start within a second. */
function unused(path: string): string {
  for (let copy = 2, name = path; ; copy++, name = `${path}-${copy}`) if (!existsSync(name)) return name;
}

/** `2025-03-04T05:06:07.089Z` -> `20250304T050607Z`. */
function stamp(now: Date): string {
  return `${now.toISOString().slice(0, 19).replaceAll(/[-:]/g, '')}Z`;
}

function listFolder(path: string): string[] {
  return existsSync(path) ? readdirSync(path) : [];
}

/** Configuration hash of the run in a directory; undefined when there is none. */
function hashOf(path: string): string | undefined {
  const file = join(path, CONFIG);
  if (!existsSync(file)) return undefined;
  const config = configSchema.safeParse(readJson(file));
  return config.success ? config.data.hash : undefined;
}

/** A small JSON file; undefined when it is none. */
function readJson(path: string): unknown {
  try {
    return parseJson(readUnlinked(path, MAX_JSON_BYTES), basename(path), path);
  } catch {
    return undefined;
  }
}

function readRows<Row extends KeyedRow>(path: string, schema: z.ZodType<Row>): Map<string, Row> {
  if (lstatSync(path, { throwIfNoEntry: false }) === undefined) writeFileSync(path, '');
  const bytes = readUnlinked(path, MAX_RESULTS_BYTES);
  const whole = bytes.lastIndexOf(0x0a) + 1;
  // A kill in the middle of a write leaves a last line without its end: that row is made again.
  if (whole < bytes.length) truncateSync(path, whole);
  const lines = bytes.toString('utf8', 0, whole).split('\n').slice(0, -1);
  return new Map(lines.map((line, index) => readRow(line, `${path}:${index + 1}`, schema)).map((row) => [row.key, row]));
}

function readRow<Row extends KeyedRow>(line: string, place: string, schema: z.ZodType<Row>): Row {
  let raw: unknown;
  try {
    raw = JSON.parse(line);
  } catch {
    raw = undefined;
  }
  const row = schema.safeParse(raw);
  if (row.success) return row.data;
  const [issue] = row.error.issues;
  throw new InputError({
    code: 'results_row',
    what: 'a row of an earlier session cannot be read',
    given: place,
    expected: issue === undefined ? 'a row of this version' : `${issue.path.join('.')}: ${issue.message}`,
    hint: 'add --fresh to start again',
  });
}
