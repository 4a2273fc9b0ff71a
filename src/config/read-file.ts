/** The settings file of --config. */
import { z } from 'zod';
import { InputError } from '../errors.js';
import { readYamlFile } from '../yaml.js';

export function readConfigFile(path: string): Record<string, unknown> {
  let raw: unknown;
  try {
    raw = readYamlFile(path) ?? {};
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
