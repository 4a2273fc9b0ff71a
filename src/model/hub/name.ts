/** `hf:` names: a repository on a model hub, a revision of it and, for a GGUF, the file in it. */
import { basename, dirname } from 'node:path';
import { InputError } from '../../errors.js';

export interface HubName {
  /** `owner/name`. */
  readonly repository: string;
  /** A branch, a tag or a commit. */
  readonly revision: string;
  /** The .gguf file that is the model; absent: what the repository holds. */
  readonly file?: string;
}

const PREFIX = 'hf:';
const DEFAULT_REVISION = 'main';

/** A revision may hold slashes (`refs/pr/1`), a GGUF lies at the top: the last part is a file if it ends as one. */
const NAME = /^hf:([^/@]+\/[^/@]+?)(?:@(.+?))?(?:\/([^/]+\.gguf))?$/;

/** The hub's own rule for names; `--` separates their parts in a cache folder. */
const REPOSITORY = /^(?!.*(?:--|\.\.))\w[\w.-]{0,95}\/\w[\w.-]{0,95}$/;
const REVISION = /^(?!.*\.\.)[\w+-][\w.+-]*(?:\/[\w+-][\w.+-]*)*$/;
const COMMIT = /^[0-9a-f]{40}$/;

/** Whether a model path is a name on the hub. */
export function isHubName(path: string): boolean {
  return path.startsWith(PREFIX);
}

/** Whether a revision names one commit for good, as branches and tags do not. */
export function isCommit(revision: string): boolean {
  return COMMIT.test(revision);
}

/** The parts of `hf:owner/name[@revision][/file.gguf]`. @throws InputError */
export function parseHubName(text: string): HubName {
  const [, repository = '', revision = DEFAULT_REVISION, file] = NAME.exec(text) ?? [];
  if (!REPOSITORY.test(repository) || !REVISION.test(revision) || (file !== undefined && !isPlainName(file))) {
    throw new InputError({
      code: 'hub_name',
      what: 'this does not name a model on the hub',
      given: text,
      expected: 'hf:owner/name, hf:owner/name@revision, or hf:owner/name@revision/file.gguf',
    });
  }
  return { repository, revision, ...(file === undefined ? {} : { file }) };
}

/** The name as it is written, for one revision. */
export function formatHubName({ repository, file }: HubName, revision: string): string {
  return `${PREFIX}${repository}@${revision}${file === undefined ? '' : `/${file}`}`;
}

/** Whether a file name from elsewhere stays in the folder it is put in, on every system. */
export function isPlainName(name: string): boolean {
  return name !== '' && name.length <= 255 && !/^\.\.?$|[/\\:\p{Cc}]/u.test(name);
}

/** Name of a repository's folder in a cache: `models--owner--name`. */
export function repositoryFolder(repository: string): string {
  return `models--${repository.replace('/', '--')}`;
}

/** The `hf:` name of a snapshot in a hub cache, or of a GGUF in one; undefined for every other path. */
export function hubNameOf(path: string): string | undefined {
  const file = path.endsWith('.gguf') ? basename(path) : undefined;
  const snapshot = file === undefined ? path : dirname(path);
  const [revision, snapshots, repository] = [basename(snapshot), dirname(snapshot), dirname(dirname(snapshot))];
  const [, owner, name] = /^models--(.+?)--(.+)$/.exec(basename(repository)) ?? [];
  if (owner === undefined || name === undefined || basename(snapshots) !== 'snapshots' || !isCommit(revision)) return undefined;
  return formatHubName({ repository: `${owner}/${name}`, revision, ...(file === undefined ? {} : { file }) }, revision);
}
