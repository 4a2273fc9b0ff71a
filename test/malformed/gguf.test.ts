/** Every broken GGUF file of the list, loaded as a model is, and the sound ones beside them. */
import { basename, join } from 'node:path';
import { InputError } from '../../src/errors.js';
import { freeModel, loadModel } from '../../src/model/load.js';
import { anyDevice } from '../helpers/each-device.js';
import { describeShared } from '../helpers/paths.js';
import { entriesOf, MALFORMED, missingNames } from './expected.js';
import type { Entry } from './expected.js';

/** What loading the file and its tokenizer says against it; undefined: nothing. */
async function load({ path }: Entry): Promise<InputError | undefined> {
  try {
    freeModel(await loadModel(join(MALFORMED, path), anyDevice()));
    return undefined;
  } catch (error) {
    if (error instanceof InputError) return error;
    throw error;
  }
}

const entries = entriesOf('gguf').map((entry) => ({ ...entry, name: basename(entry.path) }));

describeShared('a GGUF file', () => {
  test.each(entries.filter(({ expect }) => expect === 'ok'))('that is right is loaded: $name', async (entry) => {
    expect(await load(entry)).toBeUndefined();
  });

  // Where either would do, this loader refuses.
  test.each(entries.filter(({ expect }) => expect !== 'ok'))('that is wrong is refused: $name', async (entry) => {
    const started = anyDevice().memory().tensors;
    const error = await load(entry);
    expect(error?.facts).toMatchObject({ given: expect.any(String) as string, expected: expect.any(String) as string });
    expect(missingNames(entry, error?.message ?? '')).toEqual([]);
    expect(anyDevice().memory().tensors).toBe(started);
  });
});
