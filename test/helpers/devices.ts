/** One test body on every device: those that this machine lacks are skipped, visibly. */
import type { Device } from '../../src/device/device.js';
import { openDevice, type OpenDeviceOptions } from '../../src/device/runtime.js';
import { EnvironmentError } from '../../src/errors.js';

interface Choice {
  readonly title: string;
  readonly device: OpenDeviceOptions['device'];
  readonly kernels: Device['kernels'];
}

const CHOICES: readonly Choice[] = [
  { title: 'tensorflow', device: 'tensorflow', kernels: 'plain' },
  { title: 'tensorflow, fused', device: 'tensorflow', kernels: 'fused' },
  { title: 'wasm', device: 'wasm', kernels: 'plain' },
];

const opened: (Choice & { readonly opened: Device | Error })[] = [];
for (const choice of CHOICES) opened.push({ ...choice, opened: await open(choice) });

/** Runs `body` once per device, or once per plain device, under `title on NAME`; inside the tests, `device()` is the device. */
export function describeDevices(title: string, body: (device: () => Device) => void, only?: 'plain'): void {
  for (const { title: name, kernels, opened: device } of opened) {
    if (only !== undefined && only !== kernels) continue;
    if (device instanceof Error) {
      describe.skip(`${title} on ${name}, which is absent: ${device.message}`, () => body(() => fail(device)));
    } else {
      describe(`${title} on ${name}`, () => body(() => device));
    }
  }
}

/** The device, or why it is absent. */
async function open({ device: name, kernels }: Choice): Promise<Device | Error> {
  const warnings: string[] = [];
  try {
    const environment = { ...process.env, DUO_KERNELS: kernels };
    const device = await openDevice({ device: name, warn: ({ message }) => warnings.push(message), environment });
    return device.kernels === kernels ? device : new Error(warnings.join('; '));
  } catch (error) {
    if (error instanceof EnvironmentError) return error;
    throw error;
  }
}

function fail(error: Error): never {
  throw error;
}
