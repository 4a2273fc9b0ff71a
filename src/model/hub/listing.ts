/** What the hub says about a repository, through its client library: the commit of a revision, and the files of a commit. */
import { z } from 'zod';
import { DuoError } from '../../errors.js';
import type { HubConnection } from './http.js';
import { isCommit, isPlainName } from './name.js';
import type { HubName } from './name.js';

export interface HubFile {
  readonly name: string;
  readonly bytes: number;
  /** SHA-256 of a file in the large-file store, else git's SHA-1 of a blob. It is the file's name in a cache. */
  readonly hash: string;
  readonly algorithm: 'sha256' | 'git-sha1';
}

/** Most files at the top of a repository: real ones have below 1,000. */
const MAX_FILES = 10_000;

const byteCount = z.number().int().min(0).max(Number.MAX_SAFE_INTEGER);
const fileSchema = z.object({
  path: z.string(),
  size: byteCount,
  oid: z.string().regex(/^[0-9a-f]{40}$/),
  lfs: z.object({ oid: z.string().regex(/^[0-9a-f]{64}$/), size: byteCount }).optional(),
});

/** The commit that a branch or tag names at present. @throws EnvironmentError, InputError */
export async function fetchCommit(hub: HubConnection, { repository, revision }: HubName): Promise<string> {
  const { modelInfo } = await import('@huggingface/hub');
  const question = { name: repository, revision, additionalFields: ['sha' as const], hubUrl: hub.endpoint, fetch: hub.fetch };
  const { sha } = await understood(hub, () => modelInfo(question));
  if (typeof sha !== 'string' || !isCommit(sha)) throw hub.badAnswer(`${JSON.stringify(sha)?.slice(0, 60)} is no commit`);
  if (isCommit(revision) && sha !== revision) throw hub.badAnswer(`it gave commit ${sha} when asked for ${revision}`);
  return sha;
}

/** The files at the top of a commit whose names are plain. @throws EnvironmentError, InputError */
export async function fetchListing(hub: HubConnection, { repository }: HubName, commit: string): Promise<ReadonlyMap<string, HubFile>> {
  const { listFiles } = await import('@huggingface/hub');
  const files = new Map<string, HubFile>();
  await understood(hub, async () => {
    for await (const entry of listFiles({ repo: repository, revision: commit, hubUrl: hub.endpoint, fetch: hub.fetch })) {
      if (entry.type !== 'file' || !isPlainName(entry.path)) continue;
      files.set(entry.path, readEntry(hub, entry));
      if (files.size > MAX_FILES) throw hub.badAnswer(`it lists more than ${MAX_FILES} files`);
    }
  });
  return files;
}

function readEntry(hub: HubConnection, entry: unknown): HubFile {
  const parsed = fileSchema.safeParse(entry);
  if (!parsed.success) throw hub.badAnswer(`a listed file has no usable ${parsed.error.issues[0]?.path.join('.')}`);
  const { path, size, oid, lfs } = parsed.data;
  return lfs === undefined
    ? { name: path, bytes: size, hash: oid, algorithm: 'git-sha1' }
    : { name: path, bytes: lfs.size, hash: lfs.oid, algorithm: 'sha256' };
}

/** The library trusts the shape of answers: what it stumbles over is the answer's fault. */
async function understood<T>(hub: HubConnection, ask: () => Promise<T>): Promise<T> {
  try {
    return await ask();
  } catch (error) {
    throw error instanceof DuoError ? error : hub.badAnswer('it is not what the interface says', error);
  }
}
