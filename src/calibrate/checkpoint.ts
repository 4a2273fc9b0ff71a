/** Checkpoints: the loop's state as one JSON file, bound to its settings, model and data by a hash. */
import { basename, join } from 'node:path';
import { z } from 'zod';
import { canonicalJson, sha256, writeJsonAtomic } from '../files.js';
import { parseJson } from '../json.js';
import { readUnlinked } from '../untrusted.js';
import type { LoopState } from './loop.js';

/** Largest checkpoint read back, bytes: gates with their optimizer state and history. */
const MAX_CHECKPOINT_BYTES = 64 << 20;

const numbers = z.array(z.number());

const checkpointSchema = z.object({
  schema: z.literal('duo-checkpoint/1'),
  key: z.string(),
  state: z.object({
    step: z.number().int().min(0),
    gates: numbers,
    adam: z.object({ step: z.number().int(), mean: numbers, square: numbers }),
    snapshots: z.array(z.object({ step: z.number().int(), gates: numbers })),
    validations: z.array(z.object({ step: z.number().int(), loss: z.number(), passkeyAccuracy: z.number() })),
    last: z.object({ distill: z.number(), regularization: z.number() }),
    stoppedEarly: z.boolean(),
  }),
});

/** Names what a checkpoint belongs to: other settings, weights or data give another key. */
export function checkpointKey(identity: Readonly<Record<string, unknown>>): string {
  return sha256(canonicalJson(identity));
}

function checkpointFile(folder: string, seed: number): string {
  return join(folder, `checkpoint-seed${seed}.json`);
}

export function saveCheckpoint(folder: string, seed: number, key: string, state: LoopState): void {
  writeJsonAtomic(checkpointFile(folder, seed), { schema: 'duo-checkpoint/1', key, state });
}

/** The state saved under `key`; undefined when there is none, or it belongs to something else. */
export function loadCheckpoint(folder: string, seed: number, key: string): LoopState | undefined {
  let raw: unknown;
  try {
    const file = checkpointFile(folder, seed);
    raw = parseJson(readUnlinked(file, MAX_CHECKPOINT_BYTES), basename(file), file);
  } catch {
    // Missing, or no JSON of ours: writes are atomic, so a file that does not parse is another's.
    return undefined;
  }
  const parsed = checkpointSchema.safeParse(raw);
  return parsed.success && parsed.data.key === key ? parsed.data.state : undefined;
}
