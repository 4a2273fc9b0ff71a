import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import type { Device } from '../../src/device/device.js';
import { freeModel, loadModel, storedReader } from '../../src/model/load.js';
import { Dump } from '../../src/verify/dump.js';
import { verify } from '../../src/verify/verify.js';
import type { Verification } from '../../src/verify/verify.js';
import { anyDevice, describeEachDevice } from '../helpers/each-device.js';
import { copyDump, movedBy, nothing, whole } from '../helpers/golden.js';
import { describeShared, SHARED } from '../helpers/paths.js';
import { temporaryFolder } from '../helpers/temporary.js';

const FOLDER = join(SHARED, 'golden', 'gguf');
const NAMES = existsSync(FOLDER) ? readdirSync(FOLDER).filter((name) => name.endsWith('.gguf')) : ['none'];
const scratch = temporaryFolder();

/** The file's own golden or, for those that lose nothing, that of the checkpoint they were made from. */
function goldenOf(name: string): string {
  const own = join(FOLDER, name.replace('.gguf', '.golden.safetensors'));
  return existsSync(own) ? own : join(SHARED, 'golden', name.replace(/-F32\.gguf$/, ''), 'golden.safetensors');
}

async function verifyOn(device: Device, name: string, golden: string): Promise<Verification> {
  const path = join(FOLDER, name);
  const model = await loadModel(path, device);
  const verification = await verify(model, Dump.open(golden), { tolerance: 1e-4, readStored: storedReader(path) });
  freeModel(model);
  return verification;
}

describeShared('GGUF files', () => {
  describeEachDevice((device) => {
    test.each(NAMES)('%s computes what its golden says', async (name) => {
      const verification = await verifyOn(device, name, goldenOf(name));
      expect(verification.comparisons.filter(({ passed }) => !passed)).toEqual([]);
      expect(verification.comparisons.length).toBeGreaterThanOrEqual(4);
      expect(verification.notCompared).toEqual([]);
    });
  });

  test('stored weights are held to one rounding', async () => {
    const name = 'llama-gqa-Q5_1.gguf';
    const kept = /^dequant\./;
    const source = goldenOf(name);
    const [first = ''] = Dump.open(source).names.filter((tensor) => kept.test(tensor));
    expect(first).not.toBe('');
    const golden = copyDump(source, join(scratch, 'moved.safetensors'), (tensor) =>
      tensor === first ? movedBy(1e-5) : kept.test(tensor) ? whole : nothing,
    );
    const { kinds, comparisons } = await verifyOn(anyDevice(), name, golden);
    expect(kinds).toEqual(['stored weights']);
    expect(comparisons.filter(({ passed }) => !passed).map(({ tensor }) => tensor)).toEqual([first]);
    expect(comparisons.length).toBeGreaterThan(1);
  });
});
