import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import type { ServerResponse } from 'node:http';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { pathToFileURL } from 'node:url';
import { PACKAGE_ROOT } from '../../../src/version.js';
import { COMMIT, endScenes, NAME, REPOSITORY, scene, SMALL, WEIGHT_BYTES } from '../../helpers/hub-model.js';
import type { Scene, SceneOptions } from '../../helpers/hub-model.js';
import { cutOff, json, listing, refuse, weightBytes } from '../../helpers/hub-server.js';
import type { Fault } from '../../helpers/hub-server.js';

afterEach(endScenes);

const WEIGHTS = weightBytes(WEIGHT_BYTES);
const HASH = createHash('sha256').update(WEIGHTS).digest('hex');
const STORE = `/${HASH}?`;
const blobs = ({ cache }: Scene): readonly string[] => (existsSync(join(cache, 'blobs')) ? readdirSync(join(cache, 'blobs')) : []);
const partial = ({ cache }: Scene): string => join(cache, 'blobs', `${HASH}.duo.incomplete`);
const ranges = ({ hub }: Scene): readonly (string | undefined)[] => hub.asked(STORE).map(({ headers }) => headers.range);

async function expectWhole(here: Scene, options?: SceneOptions): Promise<void> {
  const folder = await here.resolve(NAME, options);
  expect(Buffer.compare(readFileSync(join(folder, 'model.safetensors')), WEIGHTS)).toBe(0);
  expect(blobs(here).filter((name) => name.includes('.'))).toEqual([]);
}

const status =
  (code: number, headers: Readonly<Record<string, string>> = {}): Fault =>
  (response) =>
    void response.writeHead(code, headers).end('busy');

const body =
  (content: Uint8Array, code = 200, headers: Readonly<Record<string, string>> = {}): Fault =>
  (response) =>
    void response.writeHead(code, { 'content-length': content.length, ...headers }).end(content);

describe('a bad connection', () => {
  test('that drops in mid-file: the rest is asked for', async () => {
    const here = await scene();
    here.hub.fail(STORE, cutOff(100_000, WEIGHT_BYTES)).fail(STORE, cutOff(50_000, WEIGHT_BYTES));
    await expectWhole(here);
    const [first, second, third, ...more] = ranges(here);
    expect([first, second, third]).toEqual([
      undefined,
      expect.stringMatching(/^bytes=[1-9]\d+-$/),
      expect.stringMatching(/^bytes=[1-9]\d+-$/),
    ]);
    expect(more).toEqual([]);
    expect(here.pauses).toEqual([1000, 2000]);
  });

  test('that drops again and again: given up, kept, and gone on with by the next run', async () => {
    const here = await scene();
    here.hub.fail(STORE, cutOff(1_000, WEIGHT_BYTES), 5);
    const facts = expect.objectContaining({
      hint: expect.stringContaining('goes on'),
      given: expect.stringContaining(`of ${WEIGHT_BYTES} bytes`),
    });
    await expect(here.resolve()).rejects.toMatchObject({ code: 'hub_unreachable', exitCode: 4, facts });
    const kept = readFileSync(partial(here)).length;
    expect(kept).toBeGreaterThan(0);
    here.hub.requests.length = 0;
    await expectWhole(here);
    expect(ranges(here)).toEqual([`bytes=${kept}-`]);
  });

  test('that drops every few megabytes is put up with for as long as they come', async () => {
    const bytes = 12 << 20;
    const content = weightBytes(bytes);
    const here = await scene({ files: { ...SMALL, 'model.safetensors': content } });
    here.hub.fail('?name=', cutOff(3 << 19, bytes), 7);
    const folder = await here.resolve();
    expect(Buffer.compare(readFileSync(join(folder, 'model.safetensors')), content)).toBe(0);
    expect(here.hub.asked('?name=')).toHaveLength(8);
    expect(new Set(here.pauses)).toEqual(new Set([1000]));
  });

  test.each<[string, Fault]>([
    ['a body that ends early, as its length says', (response, request, honest) => truncated(response, request.headers.range, honest)],
    [
      'a range that is not honoured',
      (response, request, honest) =>
        request.headers.range === undefined
          ? cutOff(9_000, WEIGHT_BYTES)(response, request, honest)
          : body(WEIGHTS)(response, request, honest),
    ],
    [
      'a range from another place',
      (response, request, honest) =>
        request.headers.range === undefined
          ? cutOff(9_000, WEIGHT_BYTES)(response, request, honest)
          : body(WEIGHTS.subarray(5), 206, { 'content-range': `bytes 5-${WEIGHT_BYTES - 1}/${WEIGHT_BYTES}` })(response, request, honest),
    ],
    [
      'a range that cannot be',
      (response, request, honest) =>
        request.headers.range === undefined
          ? cutOff(9_000, WEIGHT_BYTES)(response, request, honest)
          : status(416)(response, request, honest),
    ],
    ['a server that is out of order', status(503)],
    ['a store that lets go at once', (response) => response.destroy()],
  ])('%s: tried again, and the file is right', async (_case, fault) => {
    const here = await scene();
    here.hub.fail(STORE, fault, 2);
    await expectWhole(here);
  });

  test('that falls silent is dropped and taken up again', async () => {
    const here = await scene();
    here.hub.fail(STORE, (response) => {
      response.writeHead(200, { 'content-length': WEIGHT_BYTES });
      response.write(WEIGHTS.subarray(0, 5_000));
    });
    await expectWhole(here, { patience: { stallMs: 300 } });
    expect(ranges(here)).toEqual([undefined, 'bytes=5000-']);
  });

  test('that is slow but alive is waited for', async () => {
    const here = await scene();
    here.hub.fail(STORE, (response) => {
      response.writeHead(200, { 'content-length': WEIGHT_BYTES });
      const send = (from: number): void => {
        if (from >= WEIGHT_BYTES) return void response.end();
        response.write(WEIGHTS.subarray(from, from + 30_000));
        setTimeout(() => send(from + 30_000), 5);
      };
      send(0);
    });
    await expectWhole(here);
    expect(ranges(here)).toHaveLength(1);
  });

  test('and a hub that is busy: asked again after the pause it wants', async () => {
    const here = await scene();
    here.hub
      .fail('/revision/', status(429, { 'retry-after': '7' }))
      .fail('/tree/', status(500))
      .fail('/resolve/', status(502));
    await expectWhole(here);
    expect(here.pauses).toEqual([7000, 1000, 1000]);
  });

  test('and a hub that is busy for an hour: said at once', async () => {
    const here = await scene();
    here.hub.fail('/revision/', status(429, { 'retry-after': '3600' }));
    await expect(here.resolve()).rejects.toMatchObject({
      code: 'hub_unreachable',
      exitCode: 4,
      message: expect.stringContaining('HTTP 429'),
    });
    expect(here.pauses).toEqual([]);
  });

  test('no network: an error that says so, or with a cache a warning', async () => {
    const here = await scene();
    const away = { environment: { HF_ENDPOINT: 'http://127.0.0.1:9' } };
    await expect(here.resolve(NAME, away)).rejects.toMatchObject({ code: 'hub_unreachable', exitCode: 4 });
    const folder = await here.resolve();
    expect(await here.resolve(NAME, away)).toBe(folder);
    expect(here.warnings).toMatchObject([{ code: 'hub_unreachable', message: expect.stringContaining(COMMIT) }]);
  });

  test('stopped by hand: what came is kept, no lock is left, the next run goes on', async () => {
    const here = await scene();
    const stop = new AbortController();
    here.hub.fail(STORE, (response) => {
      response.writeHead(200, { 'content-length': WEIGHT_BYTES });
      response.write(WEIGHTS.subarray(0, 5_000));
    });
    const onProgress = ({ note }: { note?: string }): void => (note === 'model.safetensors' ? stop.abort() : undefined);
    await expect(here.resolve(NAME, { signal: stop.signal, onProgress })).rejects.toMatchObject({ code: 'interrupted', exitCode: 130 });
    expect(readFileSync(partial(here))).toHaveLength(5_000);
    expect(readdirSync(join(here.home, 'hub', '.locks', 'models--owner--tiny'))).toEqual([]);
    await expectWhole(here);
    expect(ranges(here)).toEqual([undefined, 'bytes=5000-']);
  });

  test('stopped by hand before it begins: not one request', async () => {
    const here = await scene();
    await expect(here.resolve(NAME, { signal: AbortSignal.abort() })).rejects.toMatchObject({ exitCode: 130 });
    expect(here.hub.requests).toEqual([]);
  });
});

/** Half of the file with a length that says so; the rest is honest. */
function truncated(response: ServerResponse, range: string | undefined, honest: () => void): void {
  if (range !== undefined) return honest();
  response.writeHead(200, { 'content-length': 150_000 }).end(WEIGHTS.subarray(0, 150_000));
}

describe('a hub that lies', () => {
  const flipped = Uint8Array.from(WEIGHTS, (byte, index) => (index === 77_777 ? byte ^ 1 : byte));
  const other = listing({ ...REPOSITORY.files, 'model.safetensors': weightBytes(1) });
  const without = (key: string): unknown =>
    listing(REPOSITORY.files).map((entry) => Object.fromEntries(Object.entries(entry).filter(([name]) => name !== key)));
  const sized = (size: unknown): unknown => listing(REPOSITORY.files).map((entry) => ({ ...entry, size, lfs: undefined }));
  const answer =
    (value: unknown): Fault =>
    (response) =>
      json(response, value);
  const endless: Fault = (response, request) => {
    response.setHeader('link', `<http://${request.headers.host}${request.url}>; rel="next"`);
    json(response, []);
  };

  test.each<[string, string, Fault, string]>([
    ['sends other bytes', STORE, body(flipped), 'hub_hash'],
    ['sends more bytes', STORE, body(Buffer.concat([WEIGHTS, WEIGHTS])), 'hub_hash'],
    ['lists another hash and length', '/tree/', answer(other), 'hub_hash'],
    ['sends another small file', '/resolve/', body(new Uint8Array(SMALL['config.json'].length)), 'hub_hash'],
    [
      'says that the file is of another commit',
      '/resolve/',
      body(SMALL['config.json'], 200, { 'x-repo-commit': 'f'.repeat(40) }),
      'hub_answer',
    ],
    ['gives a commit that is none', '/revision/', answer({ sha: '../../../etc' }), 'hub_answer'],
    ['gives no commit', '/revision/', answer({}), 'hub_answer'],
    ['answers with nothing', '/revision/', answer(null), 'hub_answer'],
    ['answers with what is not JSON', '/tree/', body(Buffer.from('<html>')), 'hub_answer'],
    ['lists files as an object', '/tree/', answer({ files: [] }), 'hub_answer'],
    ['lists a file without a hash', '/tree/', answer(without('oid')), 'hub_answer'],
    ['lists a file of -1 bytes', '/tree/', answer(sized(-1)), 'hub_answer'],
    ['lists a file of 1e300 bytes', '/tree/', answer(sized(1e300)), 'hub_answer'],
    ['lists files that no disk holds', '/tree/', answer(sized(2 ** 52)), 'disk_full'],
    ['answers without end', '/revision/', body(Buffer.alloc(9 << 20, ' ')), 'hub_answer'],
    ['lists files without end', '/tree/', endless, 'hub_answer'],
    [
      'lists too many files',
      '/tree/',
      answer(Array.from({ length: 10_002 }, (_, n) => ({ type: 'file', path: `${n}`, size: 1, oid: '0'.repeat(40) }))),
      'hub_answer',
    ],
    [
      'redirects in a circle',
      '/resolve/',
      (response, request) => void response.writeHead(302, { location: request.url ?? '' }).end(),
      'hub_answer',
    ],
    ['redirects to a file', '/resolve/', status(302, { location: 'file:///etc/passwd' }), 'hub_answer'],
    ['answers with a strange status', '/resolve/', status(418), 'hub_answer'],
  ])('%s', async (_case, part, fault, code) => {
    const here = await scene();
    here.hub.fail(part, fault, 1_000);
    await expect(here.resolve()).rejects.toMatchObject({ code, exitCode: 4 });
    expect(blobs(here)).not.toContain(HASH);
    expect(blobs(here).filter((name) => name.includes('incomplete'))).toEqual([]);
    expect(here.pauses).toEqual([]);
  });

  test('a commit that was asked for is not answered with another', async () => {
    const here = await scene();
    here.hub.fail('/resolve/', body(SMALL['config.json'], 200, { 'x-repo-commit': 'f'.repeat(40) }));
    await expect(here.resolve(`${NAME}@${COMMIT}`)).rejects.toMatchObject({ code: 'hub_answer', exitCode: 4 });
  });

  test('names with paths in them are not files of the model', async () => {
    const here = await scene();
    const names = ['../model.safetensors', '/etc/passwd', '..\\x.gguf', 'a/../../b.gguf', '..'];
    const evil = names.map((path) => ({ type: 'file', path, size: 1, oid: '0'.repeat(40) }));
    here.hub.fail('/tree/', answer([...listing(REPOSITORY.files), ...evil]));
    await expectWhole(here);
    expect(readdirSync(here.home)).toEqual(['hub']);
    expect(readdirSync(join(here.home, 'hub')).sort()).toEqual(['.locks', 'models--owner--tiny']);
  });

  test.each([
    ['longer than the file', weightBytes(WEIGHT_BYTES + 1), 'right'],
    ['of as many bytes, but others', flipped, 'wrong'],
    ['of other bytes', flipped.subarray(0, 100_000), 'wrong'],
  ])('a left-over %s is not taken for the file', async (_case, left, outcome) => {
    const here = await scene();
    mkdirSync(join(here.cache, 'blobs'), { recursive: true });
    writeFileSync(
      partial(here),
      outcome === 'wrong' && left.length < 77_777 ? left : Uint8Array.from(left, (byte, index) => (index === 5 ? byte ^ 1 : byte)),
    );
    if (outcome === 'wrong') await expect(here.resolve()).rejects.toMatchObject({ code: 'hub_hash' });
    await expectWhole(here);
  });
});

describe('who may read what', () => {
  test.each<[string, string, Fault, string, string]>([
    ['no such repository', '/revision/', (response) => refuse(response, 404, 'RepoNotFound'), 'hub_repository', 'spelling'],
    [
      'no such repository, as the hub says it to strangers',
      '/revision/',
      (response) => refuse(response, 401, 'RepoNotFound'),
      'hub_repository',
      'HF_TOKEN',
    ],
    ['no such page', '/revision/', (response) => refuse(response, 404), 'hub_repository', 'spelling'],
    ['a gated repository', '/resolve/', (response) => refuse(response, 403, 'GatedRepo'), 'hub_gated', 'accept its terms'],
    ['no right', '/revision/', (response) => refuse(response, 403), 'hub_forbidden', 'HF_TOKEN'],
  ])('%s: an error that says what to try', async (_case, part, fault, code, hint) => {
    const here = await scene();
    here.hub.fail(part, fault);
    await expect(here.resolve()).rejects.toMatchObject({ code, exitCode: 2, facts: { hint: expect.stringContaining(hint) } });
  });

  test('no such branch', async () => {
    const here = await scene();
    await expect(here.resolve(`${NAME}@nowhere`)).rejects.toMatchObject({ code: 'hub_revision', exitCode: 2 });
  });

  test('a repository that asks for a token: without one, with a wrong one, with the right one', async () => {
    const here = await scene({ token: 'hf_right' });
    const ask = { code: 'hub_unauthorized', exitCode: 2, facts: { hint: expect.stringContaining('set HF_TOKEN') } };
    await expect(here.resolve()).rejects.toMatchObject(ask);
    const wrong = here.resolve(NAME, { environment: { HF_TOKEN: 'hf_wrong' } });
    await expect(wrong).rejects.toMatchObject(ask);
    expect(JSON.stringify(await wrong.catch((error: unknown) => error))).not.toContain('hf_wrong');
    await expectWhole(here, { environment: { HF_TOKEN: 'hf_right' } });
  });

  test('the token goes to the hub, and not to the store or a page elsewhere', async () => {
    const here = await scene({ token: 'hf_right' });
    here.hub.fail('/tree/', (response) => {
      response.setHeader('link', `<${here.hub.storeUrl}/tree/next>; rel="next"`);
      json(response, listing(REPOSITORY.files));
    });
    here.hub.fail('/tree/next', (response) => json(response, []));
    await expectWhole(here, { environment: { HF_TOKEN: 'hf_right' } });
    const at = (place: string): readonly (string | undefined)[] =>
      here.hub.requests.filter((request) => request.at === place).map(({ headers }) => headers.authorization);
    expect(new Set(at('hub'))).toEqual(new Set(['Bearer hf_right']));
    expect(at('store')).toEqual([undefined, undefined]);
  });
});

describe('several at once', () => {
  test('in one process: each file is fetched once', async () => {
    const here = await scene();
    const [first, second] = await Promise.all([here.resolve(), here.resolve(`${NAME}@v1`)]);
    expect(first).toBe(second);
    expect(ranges(here)).toEqual([undefined]);
    await expectWhole(here);
  });

  test('in several processes: each file is fetched once', async () => {
    const here = await scene();
    here.hub.fail(STORE, (_response, _request, honest) => void setTimeout(honest, 700));
    const module = pathToFileURL(join(PACKAGE_ROOT, 'dist', 'src', 'model', 'hub', 'resolve.js')).href;
    const script = `const { resolveModelPath } = await import(${JSON.stringify(module)});
      console.log(await resolveModelPath('${NAME}', { environment: process.env }));`;
    const env = { ...process.env, HF_HOME: here.home, HF_ENDPOINT: here.hub.url };
    const run = (): Promise<{ stdout: string }> => promisify(execFile)(process.execPath, ['--input-type=module', '-e', script], { env });
    const folders = (await Promise.all([run(), run(), run()])).map(({ stdout }) => stdout.trim());
    expect(new Set(folders)).toEqual(new Set([join(here.cache, 'snapshots', COMMIT)]));
    expect(ranges(here)).toEqual([undefined]);
    await expectWhole(here);
  });
});
