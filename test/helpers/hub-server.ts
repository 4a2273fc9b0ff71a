/**
 * A hub on this machine: the requests that clients of the Hugging Face hub make, for one repository, and whatever a test
 * wants to go wrong. Large files lie in a store of their own, on another port, as the hub redirects to one.
 */
import { createHash } from 'node:crypto';
import { createServer } from 'node:http';
import type { IncomingHttpHeaders, IncomingMessage, Server, ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

export interface FakeRepository {
  /** `owner/name`. */
  readonly id: string;
  readonly commit: string;
  /** Branches and tags, all of that commit. */
  readonly revisions: readonly string[];
  readonly files: Readonly<Record<string, Uint8Array>>;
  /** Asked of every request to the hub itself. */
  readonly token?: string;
}

export interface Request {
  readonly at: 'hub' | 'store';
  readonly url: string;
  readonly headers: IncomingHttpHeaders;
}

/** Answers in the place of the hub; `honest` gives the usual answer. */
export type Fault = (response: ServerResponse, request: IncomingMessage, honest: () => void) => void;

export class HubServer {
  readonly requests: Request[] = [];
  readonly #faults: { readonly part: string; readonly fault: Fault; times: number }[] = [];
  readonly #servers: Readonly<Record<'hub' | 'store', Server>>;

  private constructor(readonly repository: FakeRepository) {
    this.#servers = {
      hub: createServer((request, response) => this.#answer('hub', request, response)),
      store: createServer((request, response) => this.#answer('store', request, response)),
    };
  }

  static async start(repository: FakeRepository): Promise<HubServer> {
    const hub = new HubServer(repository);
    for (const server of Object.values(hub.#servers)) await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
    return hub;
  }

  /** The address for HF_ENDPOINT. */
  get url(): string {
    return addressOf(this.#servers.hub);
  }

  get storeUrl(): string {
    return addressOf(this.#servers.store);
  }

  /** The next `times` requests whose address has `part` are answered by `fault`; each request takes one fault. */
  fail(part: string, fault: Fault, times = 1): this {
    this.#faults.push({ part, fault, times });
    return this;
  }

  /** Requests whose address has `part`. */
  asked(part: string): readonly Request[] {
    return this.requests.filter(({ url }) => url.includes(part));
  }

  async close(): Promise<void> {
    for (const server of Object.values(this.#servers)) {
      server.closeAllConnections();
      await new Promise((done) => server.close(done));
    }
  }

  #answer(at: 'hub' | 'store', request: IncomingMessage, response: ServerResponse): void {
    const url = decodeURIComponent(request.url ?? '');
    this.requests.push({ at, url, headers: request.headers });
    response.on('error', () => undefined);
    const honest = (): void => (at === 'hub' ? this.#hub(url, request, response) : this.#store(url, request, response));
    const found = this.#faults.find(({ part, times }) => times > 0 && url.includes(part));
    if (found === undefined) return honest();
    found.times -= 1;
    found.fault(response, request, honest);
  }

  #hub(url: string, request: IncomingMessage, response: ServerResponse): void {
    const { id, commit, revisions, files, token } = this.repository;
    if (token !== undefined && request.headers.authorization !== `Bearer ${token}`) return refuse(response, 401);
    const [path = ''] = url.split('?');
    const known = [`/api/models/${id}/`, `/${id}/`].some((prefix) => path.startsWith(prefix));
    if (!known) return refuse(response, 404, 'RepoNotFound');
    const revision = path.split('/revision/')[1];
    if (revision !== undefined) {
      if (![...revisions, commit].includes(revision)) return refuse(response, 404, 'RevisionNotFound');
      return json(response, {
        _id: '0',
        id,
        sha: commit,
        private: false,
        gated: false,
        downloads: 0,
        likes: 0,
        lastModified: '2026-01-01',
      });
    }
    if (path === `/api/models/${id}/tree/${commit}`) return json(response, listing(files));
    const name = path.split(`/${id}/resolve/${commit}/`)[1];
    const content = name === undefined ? undefined : files[name];
    if (name === undefined || content === undefined) return refuse(response, 404, 'EntryNotFound');
    const headers = { 'x-repo-commit': commit };
    const { git, sha256 } = hashes(content);
    if (!isLarge(name)) return sendFile(response, request, content, { ...headers, etag: `"${git}"` });
    const linked = { 'x-linked-size': content.length, 'x-linked-etag': `"${sha256}"` };
    response.writeHead(302, { ...headers, ...linked, location: `${this.storeUrl}/${sha256}?name=${name}` }).end();
  }

  #store(url: string, request: IncomingMessage, response: ServerResponse): void {
    const content = Object.values(this.repository.files).find((one) => url.startsWith(`/${hashes(one).sha256}`));
    if (content === undefined) return refuse(response, 404);
    sendFile(response, request, content, {});
  }
}

export function json(response: ServerResponse, value: unknown): void {
  response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(value));
}

export function refuse(response: ServerResponse, status: number, error?: string): void {
  const code: Record<string, string> = error === undefined ? {} : { 'x-error-code': error };
  response.writeHead(status, { 'content-type': 'application/json', ...code }).end('{"error":"refused"}');
}

/** The tree of a commit, as the hub lists it: git's hash of each file, or of its pointer, and SHA-256 of the large ones. */
export function listing(files: Readonly<Record<string, Uint8Array>>): readonly Readonly<Record<string, unknown>>[] {
  const entries = Object.entries(files).map(([path, content]) => {
    const { git, sha256 } = hashes(content);
    const entry = { type: 'file', path, size: content.length, oid: git };
    return isLarge(path) ? { ...entry, lfs: { oid: sha256, size: content.length, pointerSize: 134 } } : entry;
  });
  return [{ type: 'directory', path: 'onnx', size: 0, oid: '0'.repeat(40) }, ...entries];
}

/** The first `bytes` of an answer that promises `promised`, then an end of the connection. */
export function cutOff(bytes: number, promised: number, headers: Readonly<Record<string, string>> = {}): Fault {
  return (response, request) => {
    const [, start = '0'] = /^bytes=(\d+)-/.exec(request.headers.range ?? '') ?? [];
    const range: Record<string, string> = start === '0' ? {} : { 'content-range': `bytes ${start}-${promised - 1}/${promised}` };
    response.writeHead(start === '0' ? 200 : 206, { 'content-length': promised - Number(start), ...range, ...headers });
    response.write(weightBytes(promised).subarray(Number(start), Number(start) + bytes), () => response.destroy());
  };
}

/** Content for a weight file: bytes that differ from place to place. */
export function weightBytes(bytes: number): Uint8Array {
  const content = new Uint8Array(bytes);
  for (let index = 0; index < bytes; index++) content[index] = (index * 31 + (index >> 8) * 7) & 255;
  return content;
}

function sendFile(
  response: ServerResponse,
  request: IncomingMessage,
  content: Uint8Array,
  headers: Readonly<Record<string, string | number>>,
): void {
  const [, start] = /^bytes=(\d+)-$/.exec(request.headers.range ?? '') ?? [];
  if (start === undefined) return void response.writeHead(200, { ...headers, 'content-length': content.length }).end(content);
  if (Number(start) >= content.length) return refuse(response, 416);
  const rest = content.subarray(Number(start));
  const range = { 'content-range': `bytes ${start}-${content.length - 1}/${content.length}`, 'content-length': rest.length };
  response.writeHead(206, { ...headers, ...range }).end(rest);
}

function isLarge(name: string): boolean {
  return /\.(safetensors|gguf|bin)$/.test(name);
}

function hashes(content: Uint8Array): { readonly git: string; readonly sha256: string } {
  return {
    git: createHash('sha1').update(`blob ${content.length}\0`).update(content).digest('hex'),
    sha256: createHash('sha256').update(content).digest('hex'),
  };
}

function addressOf(server: Server): string {
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}
