/** What the cache has of a model. */
import { join } from 'node:path';
import { EnvironmentError } from '../../errors.js';
import type { RepositoryCache } from './cache.js';
import { chooseWeights, ggufsOf, INDEX, needsFolder, noWeights, shardNames, SMALL_FILES, WHOLE } from './choice.js';
import { formatHubName } from './name.js';
import type { HubName } from './name.js';

/** The path that the rest of the program opens: a snapshot, or the .gguf file in it. */
export function storedPath(cache: RepositoryCache, commit: string, weights: string): string {
  const folder = cache.snapshot(commit);
  return needsFolder(weights) ? folder : join(folder, weights);
}

/** The path of a model of which the cache has enough to load it. */
export function loadableModel(cache: RepositoryCache, commit: string, name: HubName): string | undefined {
  const names = cache.names(commit);
  const weights = chooseWeights(names, name);
  if (weights === undefined || (needsFolder(weights) && !names.has('config.json'))) return undefined;
  const parts = weights === INDEX ? shardNames(join(cache.snapshot(commit), INDEX)) : [weights];
  return parts.every((part) => names.has(part)) ? storedPath(cache, commit, weights) : undefined;
}

/** The path of a model of which the cache has every file that the commit is not known to lack: there is nothing to ask. */
export function settledModel(cache: RepositoryCache, commit: string, name: HubName): string | undefined {
  const path = loadableModel(cache, commit, name);
  if (path === undefined || name.file !== undefined) return path;
  const names = cache.names(commit);
  const isSettled = (file: string): boolean => names.has(file) || cache.isAbsent(commit, file);
  return SMALL_FILES.every(isSettled) && [WHOLE, INDEX].some((file) => names.has(file)) ? path : undefined;
}

/** The path of a model without the network. @throws EnvironmentError when the cache has not enough of it; InputError */
export function offlineModel(cache: RepositoryCache, name: HubName): string {
  const commit = cache.commitOf(name.revision);
  const path = commit === undefined ? undefined : loadableModel(cache, commit, name);
  if (path !== undefined) return path;
  const names = commit === undefined ? new Set<string>() : cache.names(commit);
  if (name.file === undefined && ggufsOf(names).length > 1) throw noWeights(names, name);
  throw new EnvironmentError({
    code: 'hub_offline',
    what: 'the cache of the hub does not have this model whole, and the network is not to be used',
    given: formatHubName(name, name.revision),
    expected: `its files in ${cache.folder}`,
    hint: 'run it once without --offline and HF_HUB_OFFLINE, or set HF_HOME to the cache that has it',
  });
}
