/** Settings: defaults < YAML file < DUO_* environment < flags. Every problem is reported at once. */
import type { z } from 'zod';
import { InputError } from '../errors.js';

/** Where a value came from; `preset`: filled in by the preset or the model. */
export type Origin = 'default' | 'preset' | 'file' | 'environment' | 'flag';

export interface Sources {
  readonly defaults: Readonly<Record<string, unknown>>;
  readonly file: Readonly<Record<string, unknown>>;
  readonly environment: Readonly<Record<string, unknown>>;
  readonly flags: Readonly<Record<string, unknown>>;
}

export interface Resolved {
  readonly values: Readonly<Record<string, unknown>>;
  readonly origins: Readonly<Record<string, Origin>>;
}

/** `retrievalRatio` -> `DUO_RETRIEVAL_RATIO`. */
export function environmentName(name: string): string {
  return `DUO_${name.replaceAll(/([A-Z])/g, '_$1').toUpperCase()}`;
}

/** `retrievalRatio` -> `retrieval-ratio`. */
export function flagName(name: string): string {
  return name.replaceAll(/([A-Z])/g, (letter) => `-${letter.toLowerCase()}`);
}

export function environmentValues(
  names: readonly string[],
  environment: Readonly<Record<string, string | undefined>>,
): Record<string, unknown> {
  const entries = names.map((name) => [name, environment[environmentName(name)]] as const);
  return Object.fromEntries(entries.filter(([, value]) => value !== undefined && value !== ''));
}

/** Merges the sources and validates every value. @throws InputError naming each wrong or unknown setting. */
export function resolve(schemas: Readonly<Record<string, z.ZodType>>, sources: Sources): Resolved {
  const unknown = Object.keys(sources.file).filter((key) => !Object.hasOwn(schemas, key));
  const problems = unknown.map((key) => `${key}: not a setting of this command`);
  const values: Record<string, unknown> = {};
  const origins: Record<string, Origin> = {};
  for (const [name, schema] of Object.entries(schemas)) {
    const found = pick(name, sources);
    if (!found) continue;
    // Defaults are typed values already; what people write is parsed.
    const parsed = found.origin === 'default' ? { success: true as const, data: found.raw } : schema.safeParse(found.raw);
    if (parsed.success) {
      values[name] = parsed.data;
      origins[name] = found.origin;
    } else {
      problems.push(describe(name, found, parsed.error.issues));
    }
  }
  if (problems.length > 0)
    throw new InputError({ code: 'settings', what: problems.join('\n'), hint: `known settings: ${Object.keys(schemas).join(', ')}` });
  return { values, origins };
}

interface Found {
  readonly raw: unknown;
  readonly origin: Exclude<Origin, 'preset'>;
}

function pick(name: string, sources: Sources): Found | undefined {
  if (sources.flags[name] !== undefined) return { raw: sources.flags[name], origin: 'flag' };
  if (sources.environment[name] !== undefined) return { raw: sources.environment[name], origin: 'environment' };
  if (sources.file[name] !== undefined) return { raw: sources.file[name], origin: 'file' };
  if (sources.defaults[name] !== undefined) return { raw: sources.defaults[name], origin: 'default' };
  return undefined;
}

function describe(name: string, found: Found, issues: readonly { message: string }[]): string {
  const where = { flag: `--${flagName(name)}`, environment: environmentName(name), file: `${name} (settings file)`, default: name }[
    found.origin
  ];
  return `${where}: ${JSON.stringify(found.raw)} given, expected ${issues[0]?.message ?? 'another value'}`;
}
