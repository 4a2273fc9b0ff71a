/**
 * Requests to the hub: redirects followed one by one, the token sent to the hub's own host only, answers of bounded size,
 * refusals as errors that say what to try. The hub's client library gets `fetch` of this module in place of the global one.
 */
import { EnvironmentError, InputError } from '../../errors.js';
import type { DuoError, ErrorFacts } from '../../errors.js';
import type { HubName } from './name.js';
import { connected, retrying, Transient } from './patience.js';
import type { Patience } from './patience.js';
import type { HubSettings } from './settings.js';

const MAX_REDIRECTS = 5;
/** A page of a listing has at most 1,000 files of some 300 bytes. */
const MAX_ANSWER_BYTES = 8 << 20;
/** Requests of the client library for one model: its revision, and pages of 1,000 files each. */
const MAX_REQUESTS = 20;
/** A question is given up sooner than a file, of which something came already. */
const MAX_QUESTION_PAUSES = 2;

export interface Answer {
  readonly response: Response;
  /** Headers of the hub's own answer, which may have redirected to a store of files. */
  readonly hubHeaders: Headers;
}

export class HubConnection {
  readonly #settings: HubSettings;
  readonly #name: HubName;
  readonly patience: Patience;
  readonly signal: AbortSignal | undefined;
  #requests = 0;

  constructor(settings: HubSettings, name: HubName, patience: Patience, signal: AbortSignal | undefined) {
    this.#settings = settings;
    this.#name = name;
    this.patience = patience;
    this.signal = signal;
  }

  get endpoint(): string {
    return this.#settings.endpoint;
  }

  /** For the client library: JSON of a bounded size, tried again when it fails in passing. */
  readonly fetch: typeof fetch = async (input) => {
    const url = String(input instanceof Request ? input.url : input);
    this.#requests += 1;
    if (this.#requests > MAX_REQUESTS) throw this.badAnswer(`it lists files without end: more than ${MAX_REQUESTS} pages`);
    const ask = (): Promise<Response> => connected((signal, heard) => this.#readAnswer(url, signal, heard), this.patience, this.signal);
    const patience = { ...this.patience, pausesMs: this.patience.pausesMs.slice(0, MAX_QUESTION_PAUSES) };
    try {
      return await retrying(ask, patience, this.signal);
    } catch (error) {
      throw error instanceof Transient ? this.unreachable(error) : error;
    }
  };

  /**
   * Asks for a file, following redirects. The body is the caller's to read, while `signal` lasts.
   * @throws InputError when the hub refuses; Transient when it is busy
   */
  async open(url: string, headers: Readonly<Record<string, string>>, signal: AbortSignal): Promise<Answer> {
    let target = new URL(url);
    let hubHeaders: Headers | undefined;
    for (let hops = 0; hops <= MAX_REDIRECTS; hops++) {
      const response = await fetch(target.href, { headers: { ...headers, ...this.#authorization(target) }, redirect: 'manual', signal });
      if (this.#isHub(target)) hubHeaders = response.headers;
      const location = response.headers.get('location');
      if (response.status < 300 || response.status >= 400 || location === null) {
        this.#refuse(response);
        return { response, hubHeaders: hubHeaders ?? response.headers };
      }
      await response.body?.cancel();
      target = this.#next(location, target);
    }
    throw this.badAnswer(`it redirects more than ${MAX_REDIRECTS} times`);
  }

  /** The token goes to the hub itself, never to where it redirects. */
  #authorization(target: URL): Readonly<Record<string, string>> {
    const { token } = this.#settings;
    return token !== undefined && this.#isHub(target) ? { authorization: `Bearer ${token}` } : {};
  }

  #isHub(target: URL): boolean {
    return target.origin === new URL(this.#settings.endpoint).origin;
  }

  #next(location: string, from: URL): URL {
    const next = URL.canParse(location, from.href) ? new URL(location, from.href) : undefined;
    const isSafe = next !== undefined && (next.protocol === 'https:' || (next.protocol === 'http:' && from.protocol === 'http:'));
    if (!isSafe) throw this.badAnswer(`it redirects to ${location.slice(0, 200)}`);
    return next;
  }

  async #readAnswer(url: string, signal: AbortSignal, heard: () => void): Promise<Response> {
    const { response } = await this.open(url, { accept: 'application/json' }, signal);
    const pieces: Uint8Array[] = [];
    let bytes = 0;
    for await (const piece of bodyOf(response)) {
      heard();
      bytes += piece.length;
      if (bytes > MAX_ANSWER_BYTES) throw this.badAnswer(`its answer is longer than ${MAX_ANSWER_BYTES} bytes`);
      pieces.push(piece);
    }
    const link = response.headers.get('link');
    return new Response(Buffer.concat(pieces), { headers: link === null ? {} : { link } });
  }

  #refuse({ status, headers }: Response): void {
    if (status === 200 || status === 206 || status === 416) return;
    if (status === 408 || status === 429 || status >= 500)
      throw new Transient(`it answered with HTTP ${status}`, { retryAfterMs: retryAfterMs(headers.get('retry-after')) });
    const error = headers.get('x-error-code');
    const row = REFUSALS.find((one) => one.error === error) ?? REFUSALS.find((one) => one.status === status);
    if (row === undefined) throw this.badAnswer(`it answered with HTTP ${status}`);
    const { repository, revision, file } = this.#name;
    const { endpoint, token } = this.#settings;
    const given = `hf:${repository}@${revision}${file === undefined ? '' : `/${file}`}`;
    const { code, what } = row;
    throw new InputError({ code, what, given, hint: row.hint(`${endpoint}/${repository}`, token !== undefined) });
  }

  /** The error for a hub that answers what its interface does not allow. */
  badAnswer(what: string, cause?: unknown): DuoError {
    return this.#failure('hub_answer', `the hub's answer cannot be used: ${what}`, 'check HF_ENDPOINT, or try again later', cause);
  }

  /** The error for a hub that does not answer. */
  unreachable(cause: Transient): DuoError {
    const hint = 'check the connection and HF_ENDPOINT; with HF_HUB_OFFLINE=1 only what the cache holds is used';
    return this.#failure('hub_unreachable', `the hub cannot be reached: ${cause.message}`, hint, cause);
  }

  #failure(code: string, what: string, hint: string, cause: unknown): DuoError {
    return new EnvironmentError({ code, what, given: `${this.endpoint} for hf:${this.#name.repository}`, hint, cause });
  }
}

/** The pieces of a body; a stream that ends early throws. */
export async function* bodyOf({ body }: Response): AsyncGenerator<Uint8Array> {
  if (body !== null) for await (const piece of body) yield piece as Uint8Array;
}

/** `Retry-After` is seconds or a date. */
function retryAfterMs(value: string | null): number {
  if (value === null) return 0;
  const ms = /^\d+$/.test(value) ? Number(value) * 1000 : Date.parse(value) - Date.now();
  return Number.isNaN(ms) ? 0 : Math.max(0, ms);
}

interface Refusal extends Pick<ErrorFacts, 'code' | 'what'> {
  /** The hub's word for it, in X-Error-Code. */
  readonly error?: string;
  readonly status?: number;
  readonly hint: (page: string, hasToken: boolean) => string;
}

const spelling = (page: string): string =>
  `check the spelling at ${page}; for a private repository set HF_TOKEN to a token that may read it`;
const rights = (page: string, hasToken: boolean): string =>
  hasToken ? `the token given may not read ${page}: set HF_TOKEN to one that may` : `set HF_TOKEN to a token that may read ${page}`;

const REFUSALS: readonly Refusal[] = [
  {
    error: 'RevisionNotFound',
    code: 'hub_revision',
    what: 'the repository has no such branch, tag or commit',
    hint: (page) => `see ${page}/tree/main for its branches and tags`,
  },
  {
    error: 'GatedRepo',
    code: 'hub_gated',
    what: 'the repository is gated',
    hint: (page) => `accept its terms at ${page}, then set HF_TOKEN to a token of that account`,
  },
  // Without a token the hub answers 401 for what is not there, too.
  { error: 'RepoNotFound', code: 'hub_repository', what: 'there is no such repository, or it is private', hint: spelling },
  { error: 'EntryNotFound', code: 'hub_file', what: 'the repository has no such file', hint: spelling },
  { status: 404, code: 'hub_repository', what: 'there is no such repository', hint: spelling },
  { status: 401, code: 'hub_unauthorized', what: 'the hub asks for a token', hint: rights },
  { status: 403, code: 'hub_forbidden', what: 'the hub does not let this account read the repository', hint: rights },
];
