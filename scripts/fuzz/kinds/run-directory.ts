/** Run directories that a command resumes: results.jsonl, config.resolved.json, env.json, and a calibration's checkpoint. */
import type { Rng } from '../../../src/data/rng.js';
import { checkpointKey, loadCheckpoint } from '../../../src/calibrate/checkpoint.js';
import { rowSchema } from '../../../src/evaluate/row.js';
import { canonicalJson, sha256 } from '../../../src/files.js';
import { openRun, RUN_SCHEMA } from '../../../src/report/run-directory.js';
import { mutateBytes } from '../mutate-bytes.js';
import { jsonText, mutateJson } from '../mutate-json.js';
import { require, withLinks } from '../kind.js';
import type { FuzzKind } from '../kind.js';

const CONFIG = { seed: 1 };
const KEY = checkpointKey(CONFIG);

const RESOLVED = { schema: RUN_SCHEMA, tool: 'fuzz', verb: 'evaluate', hash: sha256(canonicalJson(CONFIG)), config: CONFIG };
const SESSIONS = { sessions: [{ tool: 'fuzz', device: 'wasm' }] };
const CHECKPOINT = {
  schema: 'duo-checkpoint/1',
  key: KEY,
  state: {
    step: 3,
    gates: [0.5, 0.25],
    adam: { step: 3, mean: [0, 0], square: [0, 0] },
    snapshots: [{ step: 2, gates: [0.5, 0.5] }],
    validations: [{ step: 2, loss: 0.5, passkeyAccuracy: 1 }],
    last: { distill: 0.5, regularization: 0.25 },
    stoppedEarly: false,
  },
};

const ROW = {
  key: 'niah|64|0.5|0|pattern',
  suite: 'niah',
  contextTokens: 64,
  depth: 0.5,
  placed: [0.5],
  index: 0,
  variant: 'pattern',
  title: 'pattern 50 %',
  kind: 'pattern',
  retrievalRatio: 0.5,
  sparsity: 0.5,
  maskHash: 'a',
  patternHash: 'b',
  modelHash: 'c',
  sink: 4,
  recent: 16,
  prefill: 'streaming',
  decodeWindow: 'exact',
  seed: 1,
  scoring: 'greedy',
  scores: { strict: 1, substring: 1, words: null },
  answers: ['blue'],
  expected: ['blue'],
  endedBy: 'stop text',
  promptTokens: 60,
  answerTokens: 4,
  cacheBytes: 1024,
  prefillMs: 1.5,
  answerMs: 2.5,
  recipe: {
    use: 'evaluate',
    task: { source: 'niah', hash: 'a' },
    haystack: { name: 'essay', part: 'evaluation', hash: 'b' },
    tokenizer: 'c',
    seed: 1,
    index: 0,
    contextTokens: 64,
    longestTokens: 64,
    facts: 1,
    depths: [0.5],
    labels: 'block',
  },
};
export const runDirectoryKind: FuzzKind = {
  name: 'run-directory',
  make: (rng, changes) => {
    const place = rng.int(0, 3);
    const text = (index: number, json: object): string => {
      const here = place === index ? changes : 0;
      const inTree = rng.float() < 0.8;
      return jsonText(rng, mutateJson(rng, json as never, inTree ? here : 0), inTree ? 0 : here);
    };
    const files = {
      'config.resolved.json': text(1, RESOLVED),
      'env.json': text(2, SESSIONS),
      'checkpoint-seed1.json': text(3, CHECKPOINT),
      'results.jsonl': results(rng, place === 0 ? changes : 0),
    };
    return withLinks(rng, files, changes);
  },
  read: (folder) => {
    const run = openRun({ verb: 'evaluate', config: CONFIG, rowSchema, output: folder });
    for (const [key, row] of run.rows) require(row.key === key, 'a row is filed under another key');
    run.recordSession({} as never);
    loadCheckpoint(folder, 1, KEY);
  },
};

function results(rng: Rng, changes: number): Uint8Array | string {
  const way = rng.float();
  const lines = Array.from({ length: rng.int(0, 3) }, (_, i) => {
    const row = { ...ROW, key: `niah|64|0.5|${i}|pattern`, index: i };
    return jsonText(rng, mutateJson(rng, row, way < 0.5 ? changes : 0), way >= 0.5 && way < 0.7 ? changes : 0);
  });
  const text = lines.map((line) => `${line}\n`).join('');
  return way < 0.7 ? text : mutateBytes(rng, Buffer.from(text), changes);
}
