import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Device } from '../../src/device/device.js';
import { InputError, InterruptedError } from '../../src/errors.js';
import { freeModel, loadModel } from '../../src/model/load.js';
import { parseConfig } from '../../src/model/read-config.js';
import { Dump } from '../../src/verify/dump.js';
import { kindsOf, verify } from '../../src/verify/verify.js';
import type { Verification } from '../../src/verify/verify.js';
import { float32Tensor } from '../helpers/checkpoints.js';
import { anyDevice, describeEachDevice } from '../helpers/each-device.js';
import { copyDump, firstRows, movedBy, nothing, whole } from '../helpers/golden.js';
import { describeShared, DUO_MINI, GOLDEN, SHARED } from '../helpers/paths.js';
import { refusal } from '../helpers/refusal.js';
import { temporaryFolder } from '../helpers/temporary.js';

const TOLERANCE = 1e-4;
const scratch = temporaryFolder();

/** Verifies a model against a dump and checks that the device holds afterwards what it held before. */
async function verifyOn(device: Device, model: string, golden: string, tolerance = TOLERANCE): Promise<Verification> {
  const before = device.memory().tensors;
  const loaded = await loadModel(model, device);
  const verification = await verify(loaded, Dump.open(golden), { tolerance });
  freeModel(loaded);
  expect(device.memory().tensors).toBe(before);
  return verification;
}

const failures = ({ comparisons }: Verification) => comparisons.filter((comparison) => !comparison.passed);

function expectEqual(verification: Verification, kinds: readonly string[], tensors: number): void {
  expect(failures(verification)).toEqual([]);
  expect(verification).toMatchObject({ kinds, passed: true, notCompared: [] });
  expect(verification.comparisons).toHaveLength(tensors);
}

const CASES = [
  { name: 'llama-linear-rope', tensors: 13 },
  { name: 'llama-mqa', tensors: 13 },
  { name: 'llama-gqa', tensors: 17 },
  { name: 'llama3-rope', tensors: 17 },
  { name: 'llama-yarn', tensors: 13 },
  { name: 'llama-yarn-scales', tensors: 13 },
  { name: 'llama-bias', tensors: 13 },
  { name: 'olmo2', tensors: 13 },
  { name: 'smollm3', tensors: 21 },
  { name: 'qwen2-mixed', tensors: 17 },
  { name: 'qwen3-bias', tensors: 13 },
  { name: 'phi3', tensors: 13 },
];

/** Every model folder of a set of goldens that has `file`: whatever is added there is compared as well. */
function casesWith(folder: string, ...file: readonly string[]): string[] {
  if (!existsSync(folder)) return ['none'];
  return readdirSync(folder).filter((name) => existsSync(join(folder, name, 'config.json')) && existsSync(join(folder, name, ...file)));
}

const SHARED_GOLDEN = join(SHARED, 'golden');

describeEachDevice((device) => {
  test.each(CASES)('$name: forward, keys, values and greedy ids', async ({ name, tensors }) => {
    const folder = join(GOLDEN, name);
    expectEqual(await verifyOn(device, folder, join(folder, 'golden.safetensors')), ['forward'], tensors);
  });

  test('llama-gqa: hybrid heads under every prefill and decode window', async () => {
    const folder = join(GOLDEN, 'llama-gqa');
    expectEqual(await verifyOn(device, folder, join(folder, 'duo', 'golden.safetensors')), ['hybrid heads'], 16);
  });

  test('duo-mini: prompts, dense and with hybrid heads', async () => {
    const source = join(GOLDEN, 'duo-mini', 'golden_forward.safetensors');
    // WebAssembly has one slow thread: there, the two longest prompts are left out.
    const golden =
      device.name === 'wasm'
        ? copyDump(source, join(scratch, 'short.safetensors'), (name) => (/^prompt[12]000\./.test(name) ? nothing : whole))
        : source;
    expectEqual(await verifyOn(device, DUO_MINI, golden), ['prompts'], device.name === 'wasm' ? 14 : 28);
  });

  test('duo-mini: calibration losses, gradients and AdamW steps', async () => {
    const source = join(GOLDEN, 'duo-mini', 'golden_calibration.safetensors');
    const firstSteps = (name: string) => (name.startsWith('steps.') ? firstRows(2) : whole);
    const golden = device.name === 'wasm' ? copyDump(source, join(scratch, 'steps.safetensors'), firstSteps) : source;
    expectEqual(await verifyOn(device, DUO_MINI, golden), ['calibration'], 17);
  }, 300_000);

  describeShared('the shared cases', () => {
    test.each(casesWith(SHARED_GOLDEN, 'golden.safetensors'))('%s: forward, keys, values and greedy ids', async (name) => {
      const folder = join(SHARED_GOLDEN, name);
      const { layers } = parseConfig(JSON.parse(readFileSync(join(folder, 'config.json'), 'utf8')) as Record<string, unknown>, name).config;
      expectEqual(await verifyOn(device, folder, join(folder, 'golden.safetensors')), ['forward'], 4 * layers + 5);
    });

    test.each(casesWith(SHARED_GOLDEN, 'duo', 'golden.safetensors'))(
      '%s: hybrid heads under every prefill and decode window',
      async (name) => {
        const folder = join(SHARED_GOLDEN, name);
        expectEqual(await verifyOn(device, folder, join(folder, 'duo', 'golden.safetensors')), ['hybrid heads'], 16);
      },
    );
  });
});

describeShared('config.json in the other style of keys', () => {
  test.each(casesWith(SHARED_GOLDEN, 'config.alt.json'))('%s', (name) => {
    const read = (file: string) =>
      parseConfig(JSON.parse(readFileSync(join(SHARED_GOLDEN, name, file), 'utf8')) as Record<string, unknown>, name).config;
    expect(read('config.alt.json')).toEqual(read('config.json'));
  });
});

describe('verify', () => {
  const folder = join(GOLDEN, 'llama-linear-rope');
  const source = join(folder, 'golden.safetensors');
  let written = 0;
  const changed = (change: Parameters<typeof copyDump>[2]): string => copyDump(source, join(scratch, `${written++}.safetensors`), change);

  test.each(['logits', 'final_hidden', 'k.0.first', 'k.1.last', 'v.0.last', 'layer_hidden_last', 'greedy.logits'])(
    'finds a difference of 2e-4 in %s, and in nothing else',
    async (wrong) => {
      const golden = changed((name) => (name === wrong ? movedBy(2e-4) : whole));
      const verification = await verifyOn(anyDevice(), folder, golden);
      expect(verification.passed).toBe(false);
      expect(failures(verification).map(({ tensor }) => tensor)).toEqual([wrong]);
      expect(failures(await verifyOn(anyDevice(), folder, golden, 4e-4))).toEqual([]);
    },
  );

  test('finds a greedy id that differs', async () => {
    const golden = changed((name) =>
      name === 'greedy.ids' ? (tensor) => ({ ...tensor, bytes: tensor.bytes.map((byte, i) => (i === 4 ? byte ^ 1 : byte)) }) : whole,
    );
    expect(failures(await verifyOn(anyDevice(), folder, golden))).toMatchObject([
      { tensor: 'greedy.ids', measure: 'ids that differ', difference: 1, worst: { index: [1] } },
    ]);
  });

  test('compares what is there and names what it did not compare', async () => {
    const keep = (name: string) => (name === 'input_ids' || name === 'logits' ? whole : nothing);
    const golden = copyDump(source, join(scratch, 'part.safetensors'), keep, { 'dequant.x': float32Tensor([2], () => 1) });
    const verification = await verifyOn(anyDevice(), folder, golden);
    expect(verification.comparisons.map(({ tensor }) => tensor)).toEqual(['logits']);
    expect(verification.notCompared).toEqual(['dequant.x']);
  });

  test('refuses a dump of another model', async () => {
    await expect(verifyOn(anyDevice(), folder, join(GOLDEN, 'llama-gqa', 'golden.safetensors'))).rejects.toThrow(InputError);
    await expect(verifyOn(anyDevice(), DUO_MINI, source)).rejects.toThrow(/it is of another model/);
  });

  test.each([
    ['an id outside the vocabulary', Int32Array.of(5, 131)],
    ['no ids at all', new Int32Array(0)],
  ])('refuses %s', (_title, ids) => {
    const path = join(scratch, `ids${written++}.safetensors`);
    copyDump(source, path, () => nothing, { input_ids: { dtype: 'I32', shape: [ids.length], bytes: new Uint8Array(ids.buffer) } });
    expect(refusal(() => Dump.open(path).ids('input_ids', 131))).toBe('golden_tensor');
  });

  test('refuses a file in which nothing is known', () => {
    expect(() => kindsOf(Dump.open(join(folder, 'model.safetensors')))).toThrow('nothing in the dump can be compared');
    expect(() => Dump.open(join(folder, 'nothing.safetensors'))).toThrow('there is no such reference dump');
  });

  test('stops when interrupted', async () => {
    const model = await loadModel(folder, anyDevice());
    const options = { tolerance: TOLERANCE, signal: AbortSignal.abort() };
    await expect(verify(model, Dump.open(source), options)).rejects.toThrow(InterruptedError);
    freeModel(model);
  });
});

test('the goldens of the repository are there', () => {
  expect(CASES.every(({ name }) => existsSync(join(GOLDEN, name, 'golden.safetensors')))).toBe(true);
});
