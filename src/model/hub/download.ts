/**
 * One file from the hub into the cache: gathered beside its place, gone on with where a dropped connection or an earlier
 * run left it, and put in its place only when its length and hash are the listed ones. (The hub's client library can
 * download too, but neither resumes nor checks.)
 */
import { createHash } from 'node:crypto';
import type { Hash } from 'node:crypto';
import { existsSync, mkdirSync, renameSync, rmSync } from 'node:fs';
import { open } from 'node:fs/promises';
import type { FileHandle } from 'node:fs/promises';
import { dirname } from 'node:path';
import { DuoError, EnvironmentError } from '../../errors.js';
import { takeLock } from '../../lock.js';
import type { RepositoryCache } from './cache.js';
import { fileBytes } from './cache.js';
import { bodyOf } from './http.js';
import type { Answer, HubConnection } from './http.js';
import type { HubFile } from './listing.js';
import type { HubName } from './name.js';
import { connected, pause, retrying, stopIfAborted, Transient } from './patience.js';

/** How often a process looks whether another one is done with the file. */
const LOOK_AGAIN_MS = 500;
const READ_BYTES = 1 << 20;
const WRONG_FILE = 'hub_hash';

export interface DownloadTarget {
  readonly hub: HubConnection;
  readonly cache: RepositoryCache;
  readonly name: HubName;
  readonly commit: string;
  /** Told of bytes that came; negative when some have to come again. */
  readonly onBytes: (bytes: number, note?: string) => void;
}

/**
 * Makes a file's blob whole. One process at a time works on a file; the others wait for it.
 * @throws EnvironmentError when it does not come, or is not what was listed; InterruptedError.
 * What came is kept, but for a file that is not the listed one.
 */
export async function downloadFile(file: HubFile, target: DownloadTarget): Promise<void> {
  const { cache, hub } = target;
  const isThere = (): boolean => fileBytes(cache.blob(file)) === file.bytes;
  mkdirSync(dirname(cache.blob(file)), { recursive: true });
  while (!isThere()) {
    const release = takeLock(cache.lock(file));
    try {
      if (release !== undefined && !isThere()) await fetchBlob(file, target);
    } finally {
      release?.();
    }
    if (release !== undefined) continue;
    target.onBytes(0, 'another process fetches it');
    await pause(LOOK_AGAIN_MS, hub.patience, hub.signal);
  }
}

async function fetchBlob(file: HubFile, target: DownloadTarget): Promise<void> {
  const { cache, hub } = target;
  const path = cache.partial(file);
  const gathering = await Gathering.open(path, file, hub.signal);
  try {
    await retrying(() => gatherRest(gathering, file, target), hub.patience, hub.signal);
    await gathering.flush();
    const hash = gathering.digest();
    if (hash !== file.hash) throw wrongFile(file, target, `${file.algorithm} ${hash}`, `${file.algorithm} ${file.hash}`);
    renameSync(path, cache.blob(file));
  } catch (error) {
    if (error instanceof DuoError && error.code === WRONG_FILE) rmSync(path, { force: true });
    throw error instanceof Transient ? gaveUp(error, file, gathering.bytes, target) : error;
  } finally {
    await gathering.close();
    if (fileBytes(path) === 0) rmSync(path, { force: true });
  }
}

/** One request for what is missing. */
async function gatherRest(gathering: Gathering, file: HubFile, target: DownloadTarget): Promise<void> {
  const { hub, name, commit, onBytes } = target;
  if (gathering.bytes === file.bytes) return;
  const url = `${hub.endpoint}/${name.repository}/resolve/${commit}/${encodeURIComponent(file.name)}`;
  let gainedBytes = 0;
  const exchange = async (signal: AbortSignal, heard: () => void): Promise<void> => {
    const range: Record<string, string> = gathering.bytes === 0 ? {} : { range: `bytes=${gathering.bytes}-` };
    const answer = await hub.open(url, { 'accept-encoding': 'identity', ...range }, signal);
    checkCommit(answer, target, file);
    if (!continues(answer.response, gathering.bytes)) {
      onBytes(-gathering.bytes);
      await gathering.restart();
      if (answer.response.status !== 200) throw new Transient('it did not go on where the file stopped');
    }
    for await (const piece of bodyOf(answer.response)) {
      heard();
      if (gathering.bytes + piece.length > file.bytes) throw wrongFile(file, target, 'more bytes', `${file.bytes} bytes`);
      await gathering.append(piece);
      gainedBytes += piece.length;
      onBytes(piece.length);
    }
    if (gathering.bytes < file.bytes) throw new Transient('it ended the file early');
  };
  try {
    await connected(exchange, hub.patience, hub.signal);
  } catch (error) {
    throw error instanceof Transient ? new Transient(error.message, { ...error, gainedBytes, cause: error }) : error;
  }
}

/** Whether an answer begins at the byte that is wanted next. */
function continues({ status, headers }: Response, offset: number): boolean {
  if (status === 200) return offset === 0;
  const [, start] = /^bytes (\d+)-/.exec(headers.get('content-range') ?? '') ?? [];
  return status === 206 && Number(start) === offset;
}

function checkCommit({ hubHeaders }: Answer, { hub, commit }: DownloadTarget, file: HubFile): void {
  const given = hubHeaders.get('x-repo-commit') ?? commit;
  if (given !== commit) throw hub.badAnswer(`${file.name} is of commit ${given.slice(0, 60)}, asked for was ${commit}`);
}

function wrongFile(file: HubFile, { hub, name }: DownloadTarget, given: string, expected: string): DuoError {
  return new EnvironmentError({
    code: WRONG_FILE,
    what: `${file.name} of hf:${name.repository} is not the file that ${hub.endpoint} lists; what came is deleted`,
    given,
    expected,
    hint: 'try again; if it stays so, something between here and the hub changes files',
  });
}

function gaveUp(cause: Transient, file: HubFile, bytes: number, { hub, name }: DownloadTarget): DuoError {
  return new EnvironmentError({
    code: 'hub_unreachable',
    what: `${file.name} of hf:${name.repository} did not come whole: ${cause.message}`,
    given: `${bytes} of ${file.bytes} bytes from ${hub.endpoint}`,
    hint: 'the same command goes on where this one stopped',
    cause,
  });
}

/** The first bytes of a file, on disk and in a hash. */
class Gathering {
  bytes = 0;
  #hash: Hash;

  private constructor(
    private readonly handle: FileHandle,
    private readonly file: HubFile,
  ) {
    this.#hash = startHash(file);
  }

  /** Opens, or makes, the file and hashes what an earlier run left in it. */
  static async open(path: string, file: HubFile, signal: AbortSignal | undefined): Promise<Gathering> {
    const gathering = new Gathering(await open(path, existsSync(path) ? 'r+' : 'w+'), file);
    try {
      await gathering.#hashKept(signal);
    } catch (error) {
      await gathering.close();
      throw error;
    }
    return gathering;
  }

  async #hashKept(signal: AbortSignal | undefined): Promise<void> {
    const { size } = await this.handle.stat();
    if (size > this.file.bytes) return this.restart();
    const buffer = Buffer.allocUnsafe(Math.min(READ_BYTES, size));
    while (this.bytes < size) {
      stopIfAborted(signal);
      const { bytesRead } = await this.handle.read(buffer, 0, buffer.length, this.bytes);
      if (bytesRead === 0) return;
      this.#hash.update(buffer.subarray(0, bytesRead));
      this.bytes += bytesRead;
    }
  }

  async append(piece: Uint8Array): Promise<void> {
    for (let written = 0; written < piece.length;)
      written += (await this.handle.write(piece, written, piece.length - written, this.bytes + written)).bytesWritten;
    this.#hash.update(piece);
    this.bytes += piece.length;
  }

  async restart(): Promise<void> {
    await this.handle.truncate(0);
    this.bytes = 0;
    this.#hash = startHash(this.file);
  }

  digest(): string {
    return this.#hash.digest('hex');
  }

  async flush(): Promise<void> {
    await this.handle.sync();
  }

  async close(): Promise<void> {
    await this.handle.close();
  }
}

/** Git hashes a blob with its length before it. */
function startHash({ algorithm, bytes }: HubFile): Hash {
  return algorithm === 'sha256' ? createHash('sha256') : createHash('sha1').update(`blob ${bytes}\0`);
}
