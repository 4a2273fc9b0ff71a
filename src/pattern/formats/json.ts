/** One JSON file for programs that want numbers and nothing else: gates, windows and, with a cut, the mask of 0 and 1. */
import { patternHash } from '../hash.js';
import { gateJson, shortRows } from '../pattern-json.js';
import { compareArrays } from './format.js';
import type { ExportContent, PatternFormat } from './format.js';

const FILE = 'heads.json';

interface HeadsJson {
  readonly gates: readonly (readonly number[])[];
  readonly windows: { readonly sink: number; readonly recent: number };
  readonly mask?: readonly (readonly number[])[];
}

function encode({ pattern, cut }: ExportContent): string {
  const { sink, recent } = pattern.windows.deployed;
  const { id, hash, layers, kvHeads } = pattern.model;
  return gateJson({
    schema: 'duo-heads/1',
    tool: pattern.tool,
    model: { id, ...(hash === undefined ? {} : { hash }), layers, kvHeads },
    patternHash: patternHash(pattern),
    order: 'gates[layer][kvHead]; mask likewise, 1 = retrieval head (full cache), 0 = streaming head',
    windows: { sink, recent },
    gates: shortRows(pattern.gates),
    ...(cut === undefined
      ? {}
      : {
          cut: { retrievalRatio: cut.retrievalRatio, sparsity: cut.sparsity, threshold: cut.threshold, fullHeads: cut.fullHeads },
          mask: cut.mask.map((row) => row.map(Number)),
        }),
  });
}

export const jsonFormat: PatternFormat = {
  name: 'json',
  writes: `${FILE}: gates [layer][kvHead] (decimals of float32), windows {sink, recent}; with a cut mask [layer][kvHead] of 0 and 1`,
  files: [FILE],
  write: (content) => new Map([[FILE, encode(content)]]),
  load: (folder, { cut }) => [
    `const { gates, windows${cut === undefined ? '' : ', mask'} } = JSON.parse(fs.readFileSync('${folder}/${FILE}', 'utf8'))`,
  ],
  verify: (read, content) => {
    const { gates, windows, mask } = JSON.parse(Buffer.from(read(FILE)).toString('utf8')) as HeadsJson;
    const found = {
      gates: Float32Array.from(gates.flat()),
      windows: Int32Array.of(windows.sink, windows.recent),
      mask: mask === undefined ? undefined : Uint8Array.from(mask.flat()),
    };
    return compareArrays(found, content);
  },
};
