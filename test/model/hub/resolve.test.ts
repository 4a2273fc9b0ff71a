import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, readlinkSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Progress } from '../../../src/progress.js';
import { asJson, COMMIT, endScenes, NAME, REPOSITORY, scene, SMALL, WEIGHT_BYTES } from '../../helpers/hub-model.js';
import type { Scene } from '../../helpers/hub-model.js';
import { weightBytes } from '../../helpers/hub-server.js';

afterEach(endScenes);

const sha256 = (content: Uint8Array): string => createHash('sha256').update(content).digest('hex');
const snapshotOf = ({ cache }: Scene): string => join(cache, 'snapshots', COMMIT);
const PINNED = `${NAME}@${COMMIT}`;

const SHARDS = ['model-00001-of-00002.safetensors', 'model-00002-of-00002.safetensors'] as const;
const indexOf = (...shards: readonly string[]): Uint8Array =>
  asJson({ weight_map: Object.fromEntries(shards.map((shard, n) => [`tensor${n}`, shard])) });
const SHARDED = {
  ...SMALL,
  'model.safetensors.index.json': indexOf(...SHARDS),
  [SHARDS[0]]: weightBytes(500),
  [SHARDS[1]]: weightBytes(700),
  'model-00003-of-00003.safetensors': weightBytes(9),
};
const GGUFS = { 'tiny.F16.gguf': weightBytes(800), 'tiny.Q4_1.gguf': weightBytes(400), 'README.md': weightBytes(3) };

describe('a model of the hub', () => {
  test('is fetched into the layout that every client shares, the files needed only', async () => {
    const here = await scene();
    const folder = await here.resolve();
    expect(folder).toBe(snapshotOf(here));
    expect(readdirSync(folder).sort()).toEqual([...Object.keys(SMALL), 'model.safetensors'].sort());
    expect(readlinkSync(join(folder, 'model.safetensors'))).toBe(`../../blobs/${sha256(weightBytes(WEIGHT_BYTES))}`);
    // git's own hash of a file that holds "hello".
    expect(readlinkSync(join(folder, 'chat_template.jinja'))).toBe('../../blobs/ce013625030ba8dba906f756967f9e9ca394464a');
    expect(readFileSync(join(here.cache, 'refs', 'main'), 'utf8')).toBe(COMMIT);
    expect(readFileSync(join(folder, 'model.safetensors'))).toEqual(Buffer.from(weightBytes(WEIGHT_BYTES)));
    expect(readdirSync(join(here.cache, 'blobs'))).toHaveLength(5);
    expect(here.warnings).toEqual([]);
  });

  test('is pinned: the commit of a branch is said, and asked for by its commit alone', async () => {
    const here = await scene();
    await here.resolve(`${NAME}@refs/pr/1`);
    expect(here.notes).toEqual([`hf:owner/tiny@refs/pr/1 is commit ${COMMIT}\n`]);
    expect(readFileSync(join(here.cache, 'refs', 'refs', 'pr', '1'), 'utf8')).toBe(COMMIT);
    expect(here.hub.asked('refs/pr/1')).toHaveLength(1);
    expect(here.hub.asked('/resolve/').every(({ url }) => url.includes(`/resolve/${COMMIT}/`))).toBe(true);
  });

  test('is fetched once: a branch is asked for its commit again, a commit for nothing', async () => {
    const here = await scene();
    await here.resolve();
    here.hub.requests.length = 0;
    expect(await here.resolve()).toBe(snapshotOf(here));
    expect(here.hub.requests).toHaveLength(1);
    expect(await here.resolve(PINNED)).toBe(snapshotOf(here));
    expect(here.hub.requests).toHaveLength(1);
  });

  test('reports how far it is in megabytes, to the end', async () => {
    const here = await scene({ files: { ...SMALL, 'model.safetensors': weightBytes(2_500_000) } });
    const seen: Progress[] = [];
    await here.resolve(NAME, { onProgress: (progress) => seen.push(progress) });
    expect(seen.at(-1)).toEqual({ stage: 'downloading, MB', done: 3, total: 3, note: 'model.safetensors' });
    expect(seen.filter(({ done, total }) => done > total)).toEqual([]);
  });

  test('in shards: the index and the shards it names', async () => {
    const here = await scene({ files: SHARDED });
    expect(readdirSync(await here.resolve()).sort()).toEqual([...Object.keys(SMALL), 'model.safetensors.index.json', ...SHARDS].sort());
  });

  test.each([
    ['one that the repository has not', 'other.safetensors', 'shard_missing'],
    ['one outside the folder', '../../../escape.safetensors', 'shard_index'],
    ['one on another system’s disk', 'C:\\escape.safetensors', 'shard_index'],
  ])('in shards, %s: refused', async (_case, shard, code) => {
    const here = await scene({ files: { ...SHARDED, 'model.safetensors.index.json': indexOf(SHARDS[0], shard) } });
    await expect(here.resolve()).rejects.toMatchObject({ code, exitCode: 2 });
    expect(readdirSync(here.home)).toEqual(['hub']);
  });

  test('as a GGUF that is named, and nothing else', async () => {
    const here = await scene({ files: GGUFS });
    const path = await here.resolve(`${NAME}@v1/tiny.Q4_1.gguf`);
    expect(path).toBe(join(snapshotOf(here), 'tiny.Q4_1.gguf'));
    expect(readdirSync(snapshotOf(here))).toEqual(['tiny.Q4_1.gguf']);
  });

  test('as the only GGUF there is', async () => {
    const here = await scene({ files: { 'tiny.Q4_1.gguf': weightBytes(400) } });
    expect(await here.resolve()).toBe(join(snapshotOf(here), 'tiny.Q4_1.gguf'));
  });

  test.each<[string, Readonly<Record<string, Uint8Array>>, string, string]>([
    ['several GGUFs, none named', GGUFS, NAME, 'tiny.F16.gguf, tiny.Q4_1.gguf'],
    ['a GGUF that is not there', GGUFS, `${NAME}/tiny.Q8_0.gguf`, 'tiny.F16.gguf, tiny.Q4_1.gguf'],
    ['no weights', SMALL, NAME, 'model.safetensors'],
    ['pickled weights', { ...SMALL, 'pytorch_model.bin': weightBytes(9) }, NAME, 'model.safetensors'],
  ])('with %s: refused, saying what there is or would do', async (_case, files, name, expected) => {
    const here = await scene({ files });
    const facts = expect.objectContaining({ expected: expect.stringContaining(expected) });
    await expect(here.resolve(name)).rejects.toMatchObject({ code: 'hub_weights', exitCode: 2, facts });
    expect(here.hub.asked('/resolve/')).toEqual([]);
  });

  test('of a family that is not supported is refused before its weights are fetched', async () => {
    const here = await scene({ files: { ...REPOSITORY.files, 'config.json': asJson({ model_type: 'mamba' }) } });
    await expect(here.resolve()).rejects.toMatchObject({ exitCode: 2 });
    expect(here.hub.asked('model.safetensors')).toEqual([]);
  });

  test('that another client fetched in part is completed, and what it fetched is used', async () => {
    const here = await scene();
    const weights = weightBytes(WEIGHT_BYTES);
    mkdirSync(join(here.cache, 'blobs'), { recursive: true });
    mkdirSync(snapshotOf(here), { recursive: true });
    writeFileSync(join(here.cache, 'blobs', sha256(weights)), weights);
    symlinkSync(`../../blobs/${sha256(weights)}`, join(snapshotOf(here), 'model.safetensors'));
    // A client without symbolic links keeps files in the snapshot itself.
    writeFileSync(join(snapshotOf(here), 'config.json'), SMALL['config.json']);
    await here.resolve();
    expect(here.hub.asked('/resolve/').map(({ url }) => url.split('/').at(-1))).toEqual(
      Object.keys(SMALL).filter((name) => name !== 'config.json'),
    );
  });

  test('whose blob of an earlier commit is the same is linked, not fetched again', async () => {
    const here = await scene();
    await here.resolve();
    rmSync(snapshotOf(here), { recursive: true });
    here.hub.requests.length = 0;
    await here.resolve();
    expect(here.hub.asked('/resolve/')).toEqual([]);
  });

  test('whose file in the cache was cut short is fetched again', async () => {
    const here = await scene();
    const folder = await here.resolve();
    writeFileSync(join(folder, 'model.safetensors'), weightBytes(100));
    rmSync(join(folder, 'chat_template.jinja'));
    await here.resolve();
    expect(readFileSync(join(folder, 'model.safetensors'))).toHaveLength(WEIGHT_BYTES);
  });
});

describe('offline', () => {
  const OFFLINE = { environment: { HF_HUB_OFFLINE: '1' } };

  test.each([NAME, PINNED, `${NAME}@main`])('%s comes from the cache, without a request', async (name) => {
    const here = await scene();
    await here.resolve();
    here.hub.requests.length = 0;
    expect(await here.resolve(name, OFFLINE)).toBe(snapshotOf(here));
    expect(await here.resolve(name, { offline: true })).toBe(snapshotOf(here));
    expect(here.hub.requests).toEqual([]);
  });

  test('what another client left is enough without the files that may be missing', async () => {
    const here = await scene();
    const folder = await here.resolve();
    rmSync(join(folder, 'chat_template.jinja'));
    rmSync(join(here.cache, '.no_exist'), { recursive: true });
    expect(await here.resolve(NAME, OFFLINE)).toBe(folder);
  });

  test.each<[string, (here: Scene) => Promise<unknown>, string]>([
    ['an empty cache', () => Promise.resolve(), NAME],
    ['a branch that was never fetched', (here) => here.resolve(), `${NAME}@v1`],
    ['a commit that was never fetched', (here) => here.resolve(), `${NAME}@${'f'.repeat(40)}`],
    ['a GGUF that was never fetched', (here) => here.resolve(), `${NAME}/tiny.gguf`],
    ['weights that are gone', async (here) => rmSync(join(await here.resolve(), 'model.safetensors')), NAME],
    ['no config', async (here) => rmSync(join(await here.resolve(), 'config.json')), NAME],
  ])('%s is an error that says how to get it', async (_case, prepare, name) => {
    const here = await scene();
    await prepare(here);
    const facts = expect.objectContaining({ expected: `its files in ${here.cache}`, hint: expect.stringContaining('HF_HOME') });
    await expect(here.resolve(name, OFFLINE)).rejects.toMatchObject({ code: 'hub_offline', exitCode: 4, facts });
  });

  test('a shard that is gone counts as not there', async () => {
    const here = await scene({ files: SHARDED });
    const folder = await here.resolve();
    expect(await here.resolve(NAME, OFFLINE)).toBe(folder);
    rmSync(join(folder, SHARDS[1]));
    await expect(here.resolve(NAME, OFFLINE)).rejects.toMatchObject({ code: 'hub_offline' });
  });
});

test('a path that is no hf: name is given back, whatever the settings', async () => {
  const here = await scene();
  expect(await here.resolve('models/duo-mini', { environment: { HF_ENDPOINT: 'no address' } })).toBe('models/duo-mini');
  expect(existsSync(join(here.home, 'hub'))).toBe(false);
});
