/**
 * Peak memory while a model loads, above the process with its runtime and no model, beside the weights as they are held
 * (float32). Linux only: the peak is the kernel's (VmHWM), reset after the runtime is up.
 *
 *   node dist/scripts/bench/load-memory.js [model directory] [tensorflow|wasm]     one load, one line of JSON
 *   node dist/scripts/bench/load-memory.js                                         a made-up checkpoint of 217 MB, in every dtype, on both
 */
import { execFileSync } from 'node:child_process';
import { closeSync, mkdirSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { openDevice } from '../../src/device/runtime.js';
import { at } from '../../src/errors.js';
import { FAMILIES } from '../../src/model/families.js';
import { plannedTensors } from '../../src/model/plan.js';
import { loadModel } from '../../src/model/load.js';
import { parseConfig } from '../../src/model/read-config.js';

export interface LoadMemory {
  readonly device: string;
  readonly weightBytes: number;
  /** Peak while loading, above the process with its runtime and no model. */
  readonly peakBytes: number;
  /** What stays afterwards, above the same. */
  readonly heldBytes: number;
  readonly peakShare: number;
  readonly loadMs: number;
}

const CONFIG = {
  model_type: 'llama',
  hidden_size: 1024,
  intermediate_size: 4096,
  num_hidden_layers: 3,
  num_attention_heads: 16,
  num_key_value_heads: 4,
  vocab_size: 8192,
  tie_word_embeddings: true,
};

const ELEMENT_BYTES = { F32: 4, F16: 2, BF16: 2 } as const;

/** Writes a checkpoint of 54 million made-up weights. */
export function writeCheckpoint(folder: string, dtype: keyof typeof ELEMENT_BYTES): string {
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, 'config.json'), JSON.stringify(CONFIG));
  const planned = plannedTensors(at(FAMILIES, 0).tensors, parseConfig(CONFIG, folder).config);
  let end = 0;
  const entries = planned.map(({ name, shape }) => {
    const begin = end;
    end += shape.reduce((product, size) => product * size, ELEMENT_BYTES[dtype]);
    return [name, { dtype, shape, data_offsets: [begin, end] }];
  });
  const header = Buffer.from(JSON.stringify(Object.fromEntries(entries)));
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(header.length));
  const file = openSync(join(folder, 'model.safetensors'), 'w');
  for (const part of [length, header]) writeSync(file, part);
  const piece = Buffer.alloc(1 << 20, 0x3c);
  for (let done = 0; done < end; done += piece.length) writeSync(file, piece.subarray(0, Math.min(piece.length, end - done)));
  closeSync(file);
  return folder;
}

/** Runs one load in a process of its own. */
export function measureLoad(folder: string, device: string): LoadMemory {
  return JSON.parse(execFileSync(process.execPath, [fileURLToPath(import.meta.url), folder, device], { encoding: 'utf8' })) as LoadMemory;
}

async function loadOnce(folder: string, name: 'tensorflow' | 'wasm'): Promise<LoadMemory> {
  const device = await openDevice({ device: name, warn: () => undefined });
  device.free(device.matmul(device.zeros([8, 8]), device.zeros([8, 8])));
  writeFileSync('/proc/self/clear_refs', '5');
  const before = statusBytes('VmRSS');
  const start = performance.now();
  const model = await loadModel(folder, device);
  const loadMs = Math.round(performance.now() - start);
  const peakBytes = statusBytes('VmHWM') - before;
  const { weightBytes } = model;
  return { device: name, weightBytes, peakBytes, heldBytes: statusBytes('VmRSS') - before, peakShare: peakBytes / weightBytes, loadMs };
}

function statusBytes(key: 'VmRSS' | 'VmHWM'): number {
  const line = new RegExp(`^${key}:\\s+(\\d+) kB`, 'm').exec(readFileSync('/proc/self/status', 'utf8'));
  return Number(line?.[1]) * 1024;
}

function measureAll(): void {
  const folder = mkdtempSync(join(tmpdir(), 'duo-load-'));
  try {
    for (const dtype of Object.keys(ELEMENT_BYTES) as (keyof typeof ELEMENT_BYTES)[]) {
      const checkpoint = writeCheckpoint(join(folder, dtype), dtype);
      for (const device of ['tensorflow', 'wasm'] as const) {
        const { peakShare, weightBytes, loadMs } = measureLoad(checkpoint, device);
        console.log(
          `${dtype.padEnd(4)}  ${device.padEnd(10)}  peak ${peakShare.toFixed(2)} x ${(weightBytes / 1e6).toFixed(0)} MB  ${loadMs} ms`,
        );
      }
    }
  } finally {
    rmSync(folder, { recursive: true });
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const [folder, device] = process.argv.slice(2);
  if (folder === undefined) measureAll();
  else process.stdout.write(`${JSON.stringify(await loadOnce(folder, device === 'wasm' ? 'wasm' : 'tensorflow'))}\n`);
}
