/** `hf:` names become folders (or .gguf files) of the hub's cache, fetched where they are not there yet. */
import { DuoError, EnvironmentError } from '../../errors.js';
import type { Warn } from '../../errors.js';
import type { OnProgress } from '../../progress.js';
import { RepositoryCache } from './cache.js';
import { fetchFiles } from './fetch-files.js';
import { HubConnection } from './http.js';
import { fetchCommit } from './listing.js';
import { formatHubName, isCommit, isHubName, parseHubName } from './name.js';
import type { HubName } from './name.js';
import { isFileError, PATIENCE } from './patience.js';
import type { Patience } from './patience.js';
import { hubSettings } from './settings.js';
import type { Environment, HubSettings } from './settings.js';
import { loadableModel, offlineModel, settledModel } from './stored.js';

export interface ResolveOptions {
  /** Where HF_HOME, HF_HUB_CACHE, HF_ENDPOINT, HF_TOKEN and HF_HUB_OFFLINE are read. */
  readonly environment: Environment;
  /** Use the cache only, as HF_HUB_OFFLINE=1 does. */
  readonly offline?: boolean | undefined;
  readonly onProgress?: OnProgress;
  readonly warn?: Warn;
  /** Told the commit that a branch or tag stands for. */
  readonly note?: (text: string) => void;
  readonly signal?: AbortSignal;
  readonly patience?: Patience;
}

/**
 * The local path of a model. `hf:owner/name[@revision][/file.gguf]` is pinned to a commit and fetched into the hub's cache,
 * the files needed only; every other path is given back as it is.
 * @throws InputError for names that the hub does not have or does not show; EnvironmentError without a network, or when
 * what comes is not what the hub lists; InterruptedError. What was downloaded until then is kept.
 */
export async function resolveModelPath(path: string, options: ResolveOptions): Promise<string> {
  if (!isHubName(path)) return path;
  const name = parseHubName(path);
  const settings = hubSettings(options.environment, options.offline);
  const cache = new RepositoryCache(settings.cache, name.repository);
  if (settings.offline) return offlineModel(cache, name);
  try {
    return await fetchModel(name, cache, settings, options);
  } catch (error) {
    if (isFileError(error)) throw cacheFailure(error, settings);
    const commit = cache.commitOf(name.revision);
    const stored = commit === undefined ? undefined : loadableModel(cache, commit, name);
    if (!(error instanceof DuoError) || error.code !== 'hub_unreachable' || stored === undefined) throw error;
    options.warn?.({ code: error.code, message: `${error.facts.what}; going on with commit ${commit}, which the cache has` });
    return stored;
  }
}

/**
 * The local path of a model that is in the cache, without the network; other paths are given back.
 * @throws EnvironmentError when it is not there; InputError
 */
export function cachedModelPath(path: string, environment: Environment): string {
  if (!isHubName(path)) return path;
  const name = parseHubName(path);
  return offlineModel(new RepositoryCache(hubSettings(environment).cache, name.repository), name);
}

async function fetchModel(name: HubName, cache: RepositoryCache, settings: HubSettings, options: ResolveOptions): Promise<string> {
  const hub = new HubConnection(settings, name, options.patience ?? PATIENCE, options.signal);
  const commit = isCommit(name.revision) ? name.revision : await fetchCommit(hub, name);
  if (commit !== name.revision) {
    cache.keepCommit(name.revision, commit);
    options.note?.(`${formatHubName(name, name.revision)} is commit ${commit}\n`);
  }
  return settledModel(cache, commit, name) ?? fetchFiles({ hub, cache, name, commit }, options.onProgress);
}

function cacheFailure(cause: NodeJS.ErrnoException, { cache }: HubSettings): EnvironmentError {
  const isFull = cause.code === 'ENOSPC' || cause.code === 'EDQUOT';
  return new EnvironmentError({
    code: isFull ? 'disk_full' : 'hub_cache',
    what: isFull ? 'the disk is full; what came is kept' : `the cache of the hub cannot be used: ${cause.message}`,
    given: cache,
    hint: isFull ? 'free some, or set HF_HOME to a folder on another disk' : 'set HF_HOME to a folder that can be written',
    cause,
  });
}
