/** A repository small enough to fetch in a test, and the settings that fetch from it. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Warning } from '../../src/errors.js';
import { PATIENCE } from '../../src/model/hub/patience.js';
import type { Patience } from '../../src/model/hub/patience.js';
import { resolveModelPath } from '../../src/model/hub/resolve.js';
import type { ResolveOptions } from '../../src/model/hub/resolve.js';
import { breathe } from '../../src/progress.js';
import { TINY_CONFIG } from './checkpoints.js';
import { HubServer, weightBytes } from './hub-server.js';
import type { FakeRepository } from './hub-server.js';

export const COMMIT = '0123456789abcdef0123456789abcdef01234567';
export const NAME = 'hf:owner/tiny';
/** Bytes of model.safetensors: a few pieces of a network stream. */
export const WEIGHT_BYTES = 300_000;

const text = (content: string): Uint8Array => new TextEncoder().encode(content);
export const asJson = (value: unknown): Uint8Array => text(JSON.stringify(value));

export const SMALL = {
  'config.json': asJson(TINY_CONFIG),
  'generation_config.json': asJson({ eos_token_id: 2 }),
  'tokenizer_config.json': asJson({}),
  'chat_template.jinja': text('hello\n'),
} as const;

export const REPOSITORY: FakeRepository = {
  id: 'owner/tiny',
  commit: COMMIT,
  revisions: ['main', 'v1', 'refs/pr/1'],
  files: {
    ...SMALL,
    'model.safetensors': weightBytes(WEIGHT_BYTES),
    'pytorch_model.bin': weightBytes(10),
    'README.md': text('not needed'),
  },
};

/** One hub and one cache for a test, both gone after it. */
export interface Scene {
  readonly hub: HubServer;
  /** HF_HOME. */
  readonly home: string;
  /** Folder of the repository in the cache. */
  readonly cache: string;
  readonly warnings: Warning[];
  readonly notes: string[];
  /** Pauses between attempts, ms; nobody waits for them. */
  readonly pauses: number[];
  readonly resolve: (name?: string, changes?: SceneOptions) => Promise<string>;
}

export interface SceneOptions extends Partial<Omit<ResolveOptions, 'environment' | 'patience'>> {
  readonly environment?: Readonly<Record<string, string>>;
  readonly patience?: Partial<Patience>;
}

const cleanUps: (() => Promise<void>)[] = [];

export async function endScenes(): Promise<void> {
  for (const cleanUp of cleanUps.splice(0)) await cleanUp();
}

export async function scene(changes: Partial<FakeRepository> = {}): Promise<Scene> {
  const hub = await HubServer.start({ ...REPOSITORY, ...changes });
  const home = mkdtempSync(join(tmpdir(), 'duo-test-'));
  cleanUps.push(() => hub.close().finally(() => rmSync(home, { recursive: true, force: true })));
  const [warnings, notes, pauses]: [Warning[], string[], number[]] = [[], [], []];
  const sleep = (ms: number): Promise<void> => {
    pauses.push(ms);
    return breathe();
  };
  const resolve: Scene['resolve'] = (name = NAME, { environment, patience, ...options } = {}) =>
    resolveModelPath(name, {
      warn: (warning) => warnings.push(warning),
      note: (line) => notes.push(line),
      ...options,
      environment: { HF_HOME: home, HF_ENDPOINT: hub.url, ...environment },
      patience: { ...PATIENCE, sleep, ...patience },
    });
  return { hub, home, cache: join(home, 'hub', 'models--owner--tiny'), warnings, notes, pauses, resolve };
}
