/** The settings file of --config. */
import { parse as parseYaml } from 'yaml';
import { z } from 'zod';
import { InputError } from '../errors.js';
import { readBounded } from '../untrusted.js';

/** Largest settings file read, bytes: a settings file is a page of text. */
const MAX_CONFIG_BYTES = 1 << 20;

export function readConfigFile(path: string): Record<string, unknown> {
  let raw: unknown;
  try {
    raw = parseYaml(readBounded(path, MAX_CONFIG_BYTES).toString('utf8'), { maxAliasCount: 100, logLevel: 'error' }) ?? {};
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
