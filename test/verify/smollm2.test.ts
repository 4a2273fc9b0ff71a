import { join } from 'node:path';
import type { Device } from '../../src/device/device.js';
import { freeModel, loadModel } from '../../src/model/load.js';
import { Dump } from '../../src/verify/dump.js';
import { verify } from '../../src/verify/verify.js';
import type { Verification } from '../../src/verify/verify.js';
import { describeEachDevice } from '../helpers/each-device.js';
import { copyDump, nothing, whole } from '../helpers/golden.js';
import { describeSmolLM2, SMOLLM2, SMOLLM2_GOLDEN } from '../helpers/smollm2.js';
import { temporaryFolder } from '../helpers/temporary.js';

/** What float64 differs from the goldens is 7e-5; see their README. */
const TOLERANCE = 3e-4;
const scratch = temporaryFolder();

async function verifyOn(device: Device, golden: string): Promise<Verification> {
  const model = await loadModel(SMOLLM2, device);
  try {
    return await verify(model, Dump.open(golden), { tolerance: TOLERANCE });
  } finally {
    freeModel(model);
  }
}

function expectEqual({ comparisons }: Verification, tensors: number): void {
  expect(comparisons.filter(({ passed }) => !passed)).toEqual([]);
  expect(comparisons).toHaveLength(tensors);
}

/** A copy of the forward golden with the prompts named. */
function prompts(...names: readonly string[]): string {
  const kept = (tensor: string): boolean => tensor === 'deploy.mask' || names.some((name) => tensor.startsWith(`${name}.`));
  const target = join(scratch, `${names.join('-')}.safetensors`);
  return copyDump(join(SMOLLM2_GOLDEN, 'golden_forward.safetensors'), target, (tensor) => (kept(tensor) ? whole : nothing));
}

describeSmolLM2('SmolLM2-135M-Instruct, Q4_1', () => {
  describeEachDevice((device) => {
    // WebAssembly has one slow thread: there, the shortest prompt. The two long ones take a minute: DUO_TEST_SLOW=1.
    const long = process.env['DUO_TEST_SLOW'] === '1' ? ['prose', 'needle2000'] : [];
    const names = device.name === 'wasm' ? ['short'] : ['short', 'chat', 'needle600', ...long];

    test('prompts, hybrid heads and greedy ids are those of transformers', async () => {
      expectEqual(await verifyOn(device, prompts(...names)), 7 * names.length);
    }, 600_000);

    (device.name === 'wasm' ? test.skip : test)(
      'losses and gate gradients are those of transformers',
      async () => {
        expectEqual(await verifyOn(device, join(SMOLLM2_GOLDEN, 'golden_calibration.safetensors')), 6);
      },
      600_000,
    );
  });
});
