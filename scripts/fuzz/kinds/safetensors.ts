/** Safetensors: the length, the header as a tree and as a text, and a little data. */
import type { Rng } from '../../../src/data/rng.js';
import { findFile } from '../../../src/model/files.js';
import { readSafetensors } from '../../../src/model/safetensors.js';
import { checkPlaces, checkValues } from '../check-model.js';
import { integer, joined, mutateBytes, mutateFields } from '../mutate-bytes.js';
import { jsonText, mutateJson } from '../mutate-json.js';
import type { Json } from '../mutate-json.js';
import { withLinks } from '../kind.js';
import type { FuzzKind } from '../kind.js';

const NAME = 'model.safetensors';
const DTYPES = { F32: 4, F16: 2, BF16: 2, I32: 4, U8: 1, F64: 8, BOOL: 1 } as const;

export const safetensorsKind: FuzzKind = {
  name: 'safetensors',
  make: (rng, changes) => withLinks(rng, { [NAME]: file(rng, changes) }, changes),
  read: (folder) => {
    const path = findFile(folder, NAME);
    if (path === undefined) return;
    const opened = readSafetensors(path);
    checkPlaces(opened);
    checkValues(opened);
  },
};

function file(rng: Rng, changes: number): Uint8Array {
  const { header, data } = valid(rng);
  const way = rng.float();
  const inTree = way < 0.6 ? changes : 0;
  const text = Buffer.from(jsonText(rng, mutateJson(rng, header, inTree), way >= 0.6 && way < 0.75 ? changes : 0));
  const fields = [integer(text.length, 8), text, ...data];
  if (way < 0.75) return joined(fields);
  return way < 0.9 ? joined(mutateFields(rng, fields, changes)) : mutateBytes(rng, joined(fields), changes);
}

function valid(rng: Rng): { readonly header: Json; readonly data: readonly Uint8Array[] } {
  let end = 0;
  const tensors = Array.from({ length: rng.int(1, 4) }, (_, n) => {
    const dtype = rng.choice(Object.keys(DTYPES) as (keyof typeof DTYPES)[]);
    const shape = Array.from({ length: rng.int(0, 3) }, () => rng.int(1, 4));
    const bytes = shape.reduce((product, size) => product * size, DTYPES[dtype]);
    end += bytes;
    return { name: `t${n}.weight`, entry: { dtype, shape, data_offsets: [end - bytes, end] }, data: new Uint8Array(bytes) };
  });
  const header = Object.fromEntries(tensors.map(({ name, entry }): [string, Json] => [name, entry]));
  return { header: { __metadata__: { format: 'pt' }, ...header }, data: tensors.map(({ data }) => data) };
}
