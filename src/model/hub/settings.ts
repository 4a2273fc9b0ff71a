/**
 * Where the hub and its cache are, from the environment variables that every client of the hub reads:
 * https://huggingface.co/docs/huggingface_hub/package_reference/environment_variables
 */
import { readFileSync, statSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { InputError } from '../../errors.js';

export type Environment = Readonly<Record<string, string | undefined>>;

export interface HubSettings {
  /** Without a slash at its end. */
  readonly endpoint: string;
  readonly token?: string;
  /** Folder of `models--owner--name` folders. */
  readonly cache: string;
  readonly offline: boolean;
}

const PUBLIC_HUB = 'https://huggingface.co';
/** Longest token file read, bytes: tokens have about 40. */
const MAX_TOKEN_BYTES = 4096;

/** Reads the settings. `offline`: as if HF_HUB_OFFLINE were set. @throws InputError when one of them cannot be used. */
export function hubSettings(environment: Environment, offline = false): HubSettings {
  const home = expand(environment['HF_HOME'], environment) ?? join(cacheHome(environment), 'huggingface');
  const token = readToken(environment, home);
  return {
    endpoint: readEndpoint(environment),
    ...(token === undefined ? {} : { token }),
    cache: expand(environment['HF_HUB_CACHE'] ?? environment['HUGGINGFACE_HUB_CACHE'], environment) ?? join(home, 'hub'),
    offline: offline || isSet(environment['HF_HUB_OFFLINE']) || isSet(environment['TRANSFORMERS_OFFLINE']),
  };
}

function cacheHome(environment: Environment): string {
  return expand(environment['XDG_CACHE_HOME'], environment) ?? join(userHome(environment), '.cache');
}

function userHome(environment: Environment): string {
  return environment['HOME'] || homedir();
}

/** A folder with `~` for the user's; an empty variable counts as none. */
function expand(path: string | undefined, environment: Environment): string | undefined {
  if (path === undefined || path === '') return undefined;
  return path.replace(/^~(?=\/|$)/, () => userHome(environment));
}

function isSet(value: string | undefined): boolean {
  return ['1', 'on', 'yes', 'true'].includes((value ?? '').toLowerCase());
}

function readEndpoint(environment: Environment): string {
  const given = environment['HF_ENDPOINT'] || PUBLIC_HUB;
  const url = URL.canParse(given) ? new URL(given) : undefined;
  if (url === undefined || !/^https?:$/.test(url.protocol) || url.search !== '' || url.hash !== '' || url.username !== '')
    throw new InputError({ code: 'hub_endpoint', what: 'HF_ENDPOINT is not an address', given, expected: `such as ${PUBLIC_HUB}` });
  return url.href.replace(/\/+$/, '');
}

function readToken(environment: Environment, home: string): string | undefined {
  const given = environment['HF_TOKEN'] || environment['HUGGING_FACE_HUB_TOKEN'];
  const token = (given ?? readTokenFile(expand(environment['HF_TOKEN_PATH'], environment) ?? join(home, 'token')))?.trim();
  if (token === undefined || token === '') return undefined;
  // The token itself is never shown.
  if (!/^[\x21-\x7e]+$/.test(token))
    throw new InputError({ code: 'hub_token', what: 'the hub token holds characters that no token has', hint: 'look at HF_TOKEN' });
  return token;
}

function readTokenFile(path: string): string | undefined {
  const stats = statSync(path, { throwIfNoEntry: false });
  if (stats?.isFile() !== true || stats.size > MAX_TOKEN_BYTES) return undefined;
  try {
    return readFileSync(path, 'utf8');
  } catch {
    // Another user's: public repositories need none.
    return undefined;
  }
}
