/** A dump of stored weights: `dequant.<tensor>`, the float32 values of a tensor of the weight files, in the files' own order of rows. */
import { compareFloats, STORED_RULE } from './compare.js';
import type { DumpKind } from './context.js';

const NAME = /^dequant\.(.+)$/;

export const storedDump: DumpKind = {
  name: 'stored weights',
  recognises: (dump) => dump.matches(NAME).length > 0,
  compare: ({ dump, readStored, add, check }) => {
    for (const { name, match } of dump.matches(NAME)) {
      const values = readStored?.(match[1] ?? '');
      if (values !== undefined) add(compareFloats(dump.floats(name), values, STORED_RULE));
      check();
    }
    return Promise.resolve();
  },
};
