import { jest } from '@jest/globals';
import type { Warning } from '../../src/errors.js';
import type { SiteStatus } from '../../src/device/setup/status.js';

const status: { ready: SiteStatus | undefined } = { ready: undefined };
const real = await import('../../src/device/setup/status.js');
jest.unstable_mockModule('../../src/device/setup/status.js', () => ({ ...real, readyStatus: () => status.ready }));
const { openDevice } = await import('../../src/device/runtime.js');

const actual = real.readyStatus(process.env);
const testTensorflow = actual === undefined ? test.skip : test;

function collect(): { readonly warnings: Warning[]; readonly warn: (warning: Warning) => void } {
  const warnings: Warning[] = [];
  return { warnings, warn: (warning) => void warnings.push(warning) };
}

describe('opening a device', () => {
  test('auto falls back to wasm with a warning that names the command', async () => {
    status.ready = undefined;
    const { warnings, warn } = collect();
    const device = await openDevice({ device: 'auto', warn });
    expect(device).toMatchObject({ name: 'wasm', kernels: 'plain' });
    expect(warnings).toMatchObject([{ code: 'tensorflow_missing', hint: 'npm run setup:tensorflow' }]);
  });

  test('a tensorflow that was asked for and is not there is an error, exit 4', async () => {
    status.ready = undefined;
    const opening = openDevice({ device: 'tensorflow', warn: () => undefined });
    await expect(opening).rejects.toMatchObject({ code: 'tensorflow_missing', exitCode: 4, facts: { hint: 'npm run setup:tensorflow' } });
  });

  test('a TensorFlow that does not load is named, and auto goes on', async () => {
    status.ready = { site: { kind: 'home', packageDir: '/nowhere', workDir: '/nowhere' }, whole: true };
    const { warnings, warn } = collect();
    expect((await openDevice({ device: 'auto', warn })).name).toBe('wasm');
    expect(warnings[0]?.message).toMatch(/TensorFlow does not load/);
  });

  test('wasm leaves no listeners behind that would swallow rejections', async () => {
    const before = process.listenerCount('unhandledRejection');
    const device = await openDevice({ device: 'wasm', warn: () => undefined });
    expect(device.name).toBe('wasm');
    expect(process.listenerCount('unhandledRejection')).toBe(before);
  });

  testTensorflow('says that attention is plain when our operations are missing, unless that was asked for', async () => {
    status.ready = actual && { ...actual, operations: undefined };
    const missing = collect();
    expect(await openDevice({ device: 'auto', warn: missing.warn })).toMatchObject({ name: 'tensorflow', kernels: 'plain' });
    expect(missing.warnings).toMatchObject([{ code: 'fused_kernels_missing', hint: 'npm run setup:tensorflow' }]);
    const asked = collect();
    const environment = { ...process.env, DUO_KERNELS: 'plain' };
    expect(await openDevice({ device: 'auto', warn: asked.warn, environment })).toMatchObject({ name: 'tensorflow', kernels: 'plain' });
    expect(asked.warnings).toEqual([]);
  });

  testTensorflow('refuses another value of DUO_KERNELS', async () => {
    status.ready = actual;
    const opening = openDevice({ device: 'auto', warn: () => undefined, environment: { ...process.env, DUO_KERNELS: 'fast' } });
    await expect(opening).rejects.toMatchObject({ code: 'kernels', exitCode: 2 });
  });
});
