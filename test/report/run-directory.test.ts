import { appendFileSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { z } from 'zod';
import { InputError } from '../../src/errors.js';
import type { ErrorFacts } from '../../src/errors.js';
import { describeSession } from '../../src/report/environment.js';
import { openRun } from '../../src/report/run-directory.js';
import type { RunDirectory, RunOptions } from '../../src/report/run-directory.js';

const rowSchema = z.object({ key: z.string(), score: z.number() });
type Row = z.output<typeof rowSchema>;

let root: string;
beforeEach(() => (root = mkdtempSync(join(tmpdir(), 'duo-run-'))));
afterEach(() => rmSync(root, { recursive: true, force: true }));

function open(changes: Partial<RunOptions<Row>> = {}): RunDirectory<Row> {
  return openRun({ verb: 'evaluate', config: { lengths: [1024] }, rowSchema, root, now: new Date('2025-03-04T05:06:07Z'), ...changes });
}

function factsOf(body: () => unknown): Partial<ErrorFacts> {
  try {
    body();
  } catch (error) {
    if (error instanceof InputError) return error.facts;
  }
  return {};
}

test('a new run is named by its time and the hash of its configuration', () => {
  const run = open();
  expect(run.path).toBe(join(root, 'evaluate', `20250304T050607Z-${run.hash.slice(0, 8)}`));
  expect(run.resumed).toBe(false);
  expect(readdirSync(run.path).sort()).toEqual(['config.resolved.json', 'env.json', 'results.jsonl']);
});

test('the same configuration resumes with its rows, whatever the order of its keys', () => {
  const config = { lengths: [1024], seed: 1 };
  const first = open({ config });
  first.append({ key: 'a', score: 1 });
  const again = open({ config: { seed: 1, lengths: [1024] }, now: new Date('2025-03-05T00:00:00Z') });
  expect(again.path).toBe(first.path);
  expect(again.resumed).toBe(true);
  expect([...again.rows.values()]).toEqual([{ key: 'a', score: 1 }]);
});

test('another configuration starts another run', () => {
  expect(open({ config: { lengths: [2048] } }).path).not.toBe(open().path);
});

test('--fresh starts beside the earlier run and leaves it alone', () => {
  const first = open();
  first.append({ key: 'a', score: 1 });
  const fresh = open({ fresh: true });
  expect(fresh.path).not.toBe(first.path);
  expect(fresh.rows.size).toBe(0);
  expect(readFileSync(join(first.path, 'results.jsonl'), 'utf8')).toContain('"a"');
});

test('a torn last line is dropped and its row can be written again', () => {
  const first = open();
  first.append({ key: 'a', score: 1 });
  appendFileSync(join(first.path, 'results.jsonl'), '{"key":"b","sco');
  const again = open();
  expect([...again.rows.keys()]).toEqual(['a']);
  again.append({ key: 'b', score: 0 });
  expect(readFileSync(join(first.path, 'results.jsonl'), 'utf8')).toBe('{"key":"a","score":1}\n{"key":"b","score":0}\n');
});

test('a broken line before the last is an error that names it', () => {
  const first = open();
  writeFileSync(join(first.path, 'results.jsonl'), '{"key":"a"}\n{"key":"b","score":1}\n');
  expect(() => open()).toThrow(InputError);
  expect(factsOf(() => open()).given).toMatch(/results\.jsonl:1$/);
});

test('--output resumes its own run and refuses to mix it with another', () => {
  const output = join(root, 'here');
  open({ output }).append({ key: 'a', score: 1 });
  expect(open({ output }).rows.size).toBe(1);
  expect(() => open({ output, config: { lengths: [1] } })).toThrow(InputError);
  expect(open({ output, config: { lengths: [1] }, fresh: true }).rows.size).toBe(0);
});

test('--output refuses a directory of other files', () => {
  writeFileSync(join(root, 'notes.txt'), 'mine');
  expect(() => open({ output: root })).toThrow(InputError);
});

test('every session is recorded in env.json', () => {
  open().recordSession(describeSession('a device', 2));
  open().recordSession(describeSession('another device'));
  const { sessions } = JSON.parse(readFileSync(join(open().path, 'env.json'), 'utf8')) as { sessions: { device: string }[] };
  expect(sessions.map((session) => session.device)).toEqual(['a device', 'another device']);
});
