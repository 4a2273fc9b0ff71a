/** Brings the files of one commit that a model needs, and no others, into the cache. */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { requireDisk } from '../../disk.js';
import { InputError } from '../../errors.js';
import type { OnProgress } from '../../progress.js';
import { readConfig } from '../read-config.js';
import type { RepositoryCache } from './cache.js';
import { fileBytes } from './cache.js';
import { chooseWeights, INDEX, needsFolder, noWeights, shardNames, SMALL_FILES, WHOLE } from './choice.js';
import { downloadFile } from './download.js';
import type { DownloadTarget } from './download.js';
import { fetchListing } from './listing.js';
import type { HubFile } from './listing.js';
import { formatHubName } from './name.js';
import type { HubName } from './name.js';
import { storedPath } from './stored.js';

export type FetchTarget = Omit<DownloadTarget, 'onBytes'>;

/**
 * Fetches what the cache lacks and returns the model's path there.
 * @throws InputError when the repository has no model that can be read; EnvironmentError; InterruptedError
 */
export async function fetchFiles(target: FetchTarget, onProgress: OnProgress | undefined): Promise<string> {
  const { hub, cache, name, commit } = target;
  const listing = await fetchListing(hub, name, commit);
  const names = new Set(listing.keys());
  const weights = chooseWeights(names, name);
  if (weights === undefined) throw noWeights(names, name);
  for (const file of [...SMALL_FILES, WHOLE, INDEX]) if (!names.has(file)) cache.keepAbsence(commit, file);
  const fetch = (files: readonly string[]): Promise<void> =>
    fetchAll(
      files.map((file) => listed(file, listing, name)),
      target,
      onProgress,
    );
  if (needsFolder(weights)) {
    await fetch(SMALL_FILES.filter((file) => names.has(file)));
    // What cannot be used is refused before its weights are fetched.
    readConfig(cache.snapshot(commit));
  }
  await fetch([weights]);
  if (weights === INDEX) await fetch(shardNames(join(cache.snapshot(commit), INDEX)));
  return storedPath(cache, commit, weights);
}

function listed(file: string, listing: ReadonlyMap<string, HubFile>, name: HubName): HubFile {
  const found = listing.get(file);
  if (found !== undefined) return found;
  const what = `${INDEX} names the shard ${file}, which the repository does not have`;
  throw new InputError({ code: 'shard_missing', what, given: formatHubName(name, name.revision) });
}

async function fetchAll(files: readonly HubFile[], target: FetchTarget, onProgress: OnProgress | undefined): Promise<void> {
  const { cache, commit } = target;
  const missing = files.filter((file) => !cache.holds(commit, file));
  if (missing.length === 0) return;
  const total = missing.reduce((sum, file) => sum + missingBytes(file, cache), 0);
  mkdirSync(cache.folder, { recursive: true });
  requireDisk(cache.folder, { name: 'the model', bytes: total, variable: 'HF_HOME' });
  let came = 0;
  for (const file of missing) {
    const onBytes = (bytes: number, note?: string): void => {
      came += bytes;
      const shown = note === undefined ? file.name : `${file.name}: ${note}`;
      onProgress?.({ stage: 'downloading, MB', done: megabytes(came), total: megabytes(Math.max(total, came)), note: shown });
    };
    await downloadFile(file, { ...target, onBytes });
    cache.link(commit, file);
  }
}

function missingBytes(file: HubFile, cache: RepositoryCache): number {
  if (fileBytes(cache.blob(file)) === file.bytes) return 0;
  return Math.max(0, file.bytes - (fileBytes(cache.partial(file)) ?? 0));
}

const megabytes = (bytes: number): number => Math.max(0, Math.ceil(bytes / 1e6));
