/** As devices.ts, for tests too long to run with plain operations as well: each device as a user gets it. */
import type { Device } from '../../src/device/device.js';
import { openDevice } from '../../src/device/runtime.js';

async function tryOpen(device: 'tensorflow' | 'wasm'): Promise<Device | undefined> {
  try {
    return await openDevice({ device, threads: 2, warn: () => undefined });
  } catch {
    return undefined;
  }
}

const DEVICES = [
  { name: 'tensorflow', device: await tryOpen('tensorflow') },
  { name: 'wasm', device: await tryOpen('wasm') },
];

export function describeEachDevice(body: (device: Device) => void): void {
  for (const { name, device } of DEVICES) {
    if (device === undefined) describe.skip(`device ${name} (absent)`, () => test('runs', () => undefined));
    else describe(`device ${name}`, () => body(device));
  }
}

/** Any device: the fastest there is. */
export function anyDevice(): Device {
  const found = DEVICES.find(({ device }) => device !== undefined)?.device;
  if (found === undefined) throw new Error('no device at all');
  return found;
}
