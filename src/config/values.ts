/**
 * Value types of flags, environment variables and YAML keys. Each schema takes the text of a flag or the
 * native value of a YAML file and gives a plain typed value, or one clear message.
 */
import { z } from 'zod';

const suffixes: Readonly<Record<string, number>> = { k: 1_000, K: 1_024, m: 1_000_000, M: 1_048_576 };

/** 4K = 4,096 and 4k = 4,000; undefined when the text is not a count. */
export function parseCount(text: string): number | undefined {
  const match = /^(\d+(?:\.\d+)?)([kKmM]?)$/.exec(text.trim().replaceAll(/[,_](?=\d{3})/g, ''));
  if (!match) return undefined;
  const count = Number(match[1]) * (suffixes[match[2] ?? ''] ?? 1);
  return Number.isSafeInteger(count) ? count : undefined;
}

function fromText<T>(expected: string, parse: (raw: unknown) => T | undefined): z.ZodType<T> {
  return z.unknown().transform((raw, context) => {
    const value = parse(raw);
    if (value !== undefined) return value;
    context.addIssue({ code: 'custom', message: expected });
    return z.NEVER;
  });
}

const asText = (raw: unknown): string | undefined =>
  typeof raw === 'string' ? raw.trim() : typeof raw === 'number' ? String(raw) : undefined;

function asNumber(raw: unknown): number | undefined {
  const text = asText(raw);
  const number = text === undefined || text === '' ? Number.NaN : Number(text);
  return Number.isFinite(number) ? number : undefined;
}

/** A whole number of tokens, steps or samples: `4096`, `4K` or `4k`. */
export function count(minimum = 1, maximum = Number.MAX_SAFE_INTEGER): z.ZodType<number> {
  const bound = maximum === Number.MAX_SAFE_INTEGER ? `of at least ${minimum}` : `from ${minimum} to ${maximum}`;
  return fromText(`a whole number ${bound}, such as 4096, 4K (4,096) or 4k (4,000)`, (raw) => {
    const text = asText(raw);
    const value = text === undefined ? undefined : parseCount(text);
    return value !== undefined && value >= minimum && value <= maximum ? value : undefined;
  });
}

/** A number between bounds, both included. */
export function number(minimum: number, maximum: number): z.ZodType<number> {
  const bound = maximum === Number.POSITIVE_INFINITY ? `of at least ${minimum}` : `from ${minimum} to ${maximum}`;
  return fromText(`a number ${bound}`, (raw) => {
    const value = asNumber(raw);
    return value !== undefined && value >= minimum && value <= maximum ? value : undefined;
  });
}

/** A share of a whole: `0.5` or `50%`. */
export const share: z.ZodType<number> = fromText('a share from 0 to 1, such as 0.5 or 50%', (raw) => {
  const text = asText(raw);
  const value = text?.endsWith('%') ? (asNumber(text.slice(0, -1)) ?? Number.NaN) / 100 : asNumber(raw);
  return value !== undefined && value >= 0 && value <= 1 ? value : undefined;
});

/** A switch: present, or true/false in YAML and the environment. */
export const toggle: z.ZodType<boolean> = fromText('true or false', (raw) => {
  if (typeof raw === 'boolean') return raw;
  if (raw === 'true' || raw === '1') return true;
  if (raw === 'false' || raw === '0') return false;
  return undefined;
});

export const text: z.ZodType<string> = fromText('a non-empty text', (raw) => {
  const value = asText(raw);
  return value === '' ? undefined : value;
});

export function choice<const T extends string>(...values: readonly T[]): z.ZodType<T> {
  return fromText(`one of ${values.join(', ')}`, (raw) => values.find((value) => value === raw));
}

/** `a,b,c` or a YAML list, each item by `item`; at least one. */
export function list<T>(item: z.ZodType<T>): z.ZodType<T[]> {
  return z.preprocess((raw): unknown[] => {
    if (typeof raw === 'string') return raw.split(',').map((part) => part.trim());
    return Array.isArray(raw) ? raw : [raw];
  }, z.array(item).min(1));
}

/** `4K,32K`, `4K-128K*2` (doubling), `1K-4K+1K` (steps), or a mix of them. */
export const lengths: z.ZodType<number[]> = fromText('lengths such as 4K,32K or a range such as 4K-128K*2 or 1K-4K+1K', (raw) => {
  const parts = Array.isArray(raw) ? raw.map((part) => asText(part) ?? '') : (asText(raw)?.split(',') ?? []);
  const values = parts.map(parseRange);
  return values.length === 0 || values.includes(undefined) ? undefined : values.flatMap((value) => value ?? []);
});

function parseRange(part: string): number[] | undefined {
  const match = /^([^-]+)(?:-([^*+]+)([*+])(.+))?$/.exec(part.trim());
  const first = match ? parseCount(match[1] ?? '') : undefined;
  if (!match || first === undefined || first < 1) return undefined;
  if (match[2] === undefined) return [first];
  const last = parseCount(match[2]);
  const step = parseCount(match[4] ?? '');
  if (last === undefined || last < first || step === undefined) return undefined;
  const multiply = match[3] === '*';
  if (step < (multiply ? 2 : 1) || (!multiply && (last - first) / step > 10_000)) return undefined;
  const values: number[] = [];
  for (let value = first; value <= last; value = multiply ? value * step : value + step) values.push(value);
  return values;
}

/** A share of the full cache (`60%`), or bytes (`12GiB`, `800MB`, `1000000`). */
export interface KvBudget {
  readonly kind: 'share' | 'bytes';
  readonly value: number;
}

const byteUnits: Readonly<Record<string, number>> = {
  '': 1,
  B: 1,
  KB: 1e3,
  MB: 1e6,
  GB: 1e9,
  TB: 1e12,
  KIB: 2 ** 10,
  MIB: 2 ** 20,
  GIB: 2 ** 30,
  TIB: 2 ** 40,
};

export const kvBudget: z.ZodType<KvBudget> = fromText('a share such as 60% or a size such as 12GiB', (raw) => {
  const match = /^(\d+(?:\.\d+)?)\s*(%|[a-zA-Z]*)$/.exec(asText(raw) ?? '');
  if (!match) return undefined;
  const value = Number(match[1]);
  if (match[2] === '%') return value <= 100 ? { kind: 'share', value: value / 100 } : undefined;
  const unit = byteUnits[(match[2] ?? '').toUpperCase()];
  return unit === undefined ? undefined : { kind: 'bytes', value: value * unit };
});

export type Prefill =
  { readonly mode: 'streaming' } | { readonly mode: 'dense' } | { readonly mode: 'chunked'; readonly chunkTokens: number };

/** `streaming` (exact, the default), `chunked:N` (the reference) or `dense`. */
export const prefill: z.ZodType<Prefill> = fromText('streaming, chunked:N (N tokens a chunk) or dense', (raw) => {
  if (raw === 'streaming' || raw === 'dense') return { mode: raw };
  const match = /^chunked:(.+)$/.exec(asText(raw) ?? '');
  const chunkTokens = match ? parseCount(match[1] ?? '') : undefined;
  return chunkTokens !== undefined && chunkTokens >= 1 ? { mode: 'chunked', chunkTokens } : undefined;
});
