/** Pattern directories: pattern.json, or a TSV with its config.json. */
import { join } from 'node:path';
import type { Rng } from '../../../src/data/rng.js';
import { cutReport } from '../../../src/pattern/cut-report.js';
import { patternJson } from '../../../src/pattern/pattern-json.js';
import { openPattern } from '../../../src/pattern/read.js';
import { parsePattern } from '../../../src/pattern/schema.js';
import { mutateBytes } from '../mutate-bytes.js';
import { changedText, jsonText, mutateJson } from '../mutate-json.js';
import { require, withLinks } from '../kind.js';
import type { Files, FuzzKind } from '../kind.js';

const GATES = [
  [0.25, 1, 0.5, 0],
  [0.75, -9.58e-5, 1.0002, 0.125],
];
const WINDOW = { sink: 16, recent: 64, block: 1 };

const PATTERN = {
  schema: 'duo-pattern/1',
  tool: 'fuzz',
  model: { id: 'tiny', hash: 'a', layers: 2, kvHeads: 4, queryHeads: 8, headDim: 64, maxPositions: 8192 },
  gates: GATES,
  spread: GATES,
  windows: { calibrated: WINDOW, deployed: WINDOW },
  calibration: {
    settings: { learningRate: 0.02, haystack: 'essay' },
    seeds: [1, 2],
    dataHash: 'b',
    steps: 40,
    losses: { distill: 0.25, regularization: 0.5 },
    checkpoints: [{ step: 40, gates: GATES }],
    seedGates: [GATES],
    stoppedEarly: false,
  },
};

const CONFIG = {
  model_name: 'models/tiny',
  sink_size: 64,
  recent_size: 256,
  deploy_sink_size: null,
  deploy_recent_size: 128,
  streaming_attn_implementation: 'blocksparse',
};

const CELLS = ['', 'nan', '-inf', '1e39', '0x1', '1,5', ' 0.5 ', '+.5', '5.', '1e-400', '\0', '٣', '"1"', '1_0', 'true', '0.5 # x'];

export const patternKind: FuzzKind = {
  name: 'pattern',
  make: (rng, changes) => withLinks(rng, rng.float() < 0.5 ? ownFiles(rng, changes) : importedFiles(rng, changes), changes),
  read: (folder) => {
    const { pattern } = openPattern(folder, { warn: () => undefined, assumeWindow: true });
    const { layers, kvHeads } = pattern.model;
    require(pattern.gates.length === layers && pattern.gates.every((row) => row.length === kvHeads), 'its gates have another shape');
    require(pattern.gates.flat().every((gate) => Number.isFinite(gate) && Math.fround(gate) === gate), 'a gate is no float32');
    require(pattern.windows.deployed.recent >= 1 && pattern.windows.deployed.sink >= 0, 'its window is none');
    const text = patternJson(pattern);
    require(patternJson(parsePattern(JSON.parse(text), join(folder, 'pattern.json'))) ===
      text, 'it is another one when it is written and read');
    cutReport(pattern);
  },
};

function ownFiles(rng: Rng, changes: number): Files {
  const inTree = rng.float() < 0.85;
  return { 'pattern.json': jsonText(rng, mutateJson(rng, PATTERN, inTree ? changes : 0), inTree ? 0 : changes) };
}

function importedFiles(rng: Rng, changes: number): Files {
  const inTable = rng.float() < 0.6;
  return {
    'full_attention_heads.tsv': table(rng, inTable ? changes : 0),
    ...(rng.float() < 0.9 ? { 'config.json': jsonText(rng, mutateJson(rng, CONFIG, inTable ? 0 : changes), 0) } : {}),
  };
}

function table(rng: Rng, changes: number): Uint8Array | string {
  const rows = GATES.map((row) => row.map((gate) => gate.toExponential(18)));
  const way = rng.float();
  for (let i = 0; way < 0.6 && i < changes; i++) {
    const row = rng.choice(rows);
    rng.choice([
      () => (row[rng.int(0, row.length)] = rng.choice(CELLS)),
      () => row.splice(rng.int(0, 3), 1),
      () => rows.splice(rng.int(0, 1), 0, [...row]),
      () => row.push(...row),
    ])();
  }
  let text = `${rows.map((row) => row.join(changes === 0 || rng.float() < 0.98 ? '\t' : ' ')).join(rng.choice(['\n', '\n', '\r\n']))}\n`;
  for (let i = 0; way >= 0.6 && way < 0.8 && i < changes; i++) text = changedText(rng, text);
  return way < 0.8 ? text : mutateBytes(rng, Buffer.from(text), changes);
}
