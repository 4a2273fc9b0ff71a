/**
 * One repository in the cache that every client of the hub shares, as huggingface_hub lays it out:
 * `models--owner--name/{refs/<branch>, snapshots/<commit>/<file> -> ../../blobs/<hash>, blobs/<hash>, .no_exist/<commit>/<file>}`
 * https://huggingface.co/docs/huggingface_hub/guides/manage-cache
 */
import { linkSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { writeFileAtomic } from '../../files.js';
import type { HubFile } from './listing.js';
import { isCommit, repositoryFolder } from './name.js';

export class RepositoryCache {
  readonly folder: string;
  readonly #locks: string;

  constructor(hub: string, repository: string) {
    this.folder = join(hub, repositoryFolder(repository));
    this.#locks = join(hub, '.locks', repositoryFolder(repository));
  }

  /** The commit that a revision named when it was last asked for. */
  commitOf(revision: string): string | undefined {
    if (isCommit(revision)) return revision;
    const path = join(this.folder, 'refs', revision);
    if (fileBytes(path) !== 40) return undefined;
    const commit = readFileSync(path, 'latin1');
    return isCommit(commit) ? commit : undefined;
  }

  keepCommit(revision: string, commit: string): void {
    if (this.commitOf(revision) !== commit) writeFileAtomic(join(this.folder, 'refs', revision), commit);
  }

  snapshot(commit: string): string {
    return join(this.folder, 'snapshots', commit);
  }

  /** Names of the files a snapshot has; a link to a file that is gone does not count. */
  names(commit: string): ReadonlySet<string> {
    const folder = this.snapshot(commit);
    if (statSync(folder, { throwIfNoEntry: false })?.isDirectory() !== true) return new Set();
    return new Set(readdirSync(folder).filter((name) => fileBytes(join(folder, name)) !== undefined));
  }

  /** Whether a snapshot has a file whole, so far as its length tells. */
  holds(commit: string, { name, bytes }: HubFile): boolean {
    return fileBytes(join(this.snapshot(commit), name)) === bytes;
  }

  /** Whether the commit is known to have no such file. */
  isAbsent(commit: string, name: string): boolean {
    return fileBytes(this.#absence(commit, name)) !== undefined;
  }

  keepAbsence(commit: string, name: string): void {
    const path = this.#absence(commit, name);
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, '');
  }

  #absence(commit: string, name: string): string {
    return join(this.folder, '.no_exist', commit, name);
  }

  blob({ hash }: HubFile): string {
    return join(this.folder, 'blobs', hash);
  }

  /**
   * Where a file is gathered until it is whole. A name of our own: we hold no lock of other clients, and two writers that
   * do not know of each other must not share a file.
   */
  partial({ hash }: HubFile): string {
    return join(this.folder, 'blobs', `${hash}.duo.incomplete`);
  }

  lock({ hash }: HubFile): string {
    return join(this.#locks, `${hash}.duo.lock`);
  }

  /** Puts a blob into a snapshot under its name. */
  link(commit: string, file: HubFile): void {
    const path = join(this.snapshot(commit), file.name);
    const blob = this.blob(file);
    mkdirSync(dirname(path), { recursive: true });
    rmSync(path, { force: true });
    try {
      symlinkSync(relative(dirname(path), blob), path);
    } catch (error) {
      if (this.holds(commit, file)) return;
      // Some systems reserve symbolic links for administrators.
      if ((error as NodeJS.ErrnoException).code !== 'EPERM') throw error;
      linkSync(blob, path);
    }
  }
}

/** Bytes of the file a path leads to; undefined when it leads to none. */
export function fileBytes(path: string): number | undefined {
  const stats = statSync(path, { throwIfNoEntry: false });
  return stats?.isFile() === true ? stats.size : undefined;
}
