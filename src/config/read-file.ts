/** The settings file of --config. */
import { readFileSync } from 'node:fs';
import { parse as parseYaml } from 'yaml';
import { z } from 'zod';
import { InputError } from '../errors.js';

/** Largest settings file read, bytes: a settings file is a page of text. */
const MAX_CONFIG_BYTES = 1 << 20;

export function readConfigFile(path: string): Record<string, unknown> {
  let raw: unknown;
  try {
    const text = readFileSync(path, 'utf8');
    if (text.length > MAX_CONFIG_BYTES) throw new Error(`larger than ${MAX_CONFIG_BYTES} bytes`);
    raw = parseYaml(text, { maxAliasCount: 100 }) ?? {};
  } catch (cause) {
    throw new InputError({
      code: 'config_unreadable',
      what: `the settings file cannot be read: ${(cause as Error).message.split('\n')[0]}`,
      given: path,
      expected: 'a YAML file of settings',
      cause,
    });
  }
  const settings = z.record(z.string(), z.unknown()).safeParse(raw);
  if (!settings.success)
    throw new InputError({
      code: 'config_shape',
      what: 'the settings file does not hold settings',
      given: path,
      expected: 'keys and values, such as `steps: 40`',
    });
  return settings.data;
}
