/** Reads the weight files of a checkpoint once, each from front to back, with progress, and hashes them as they pass. */
import { createHash } from 'node:crypto';
import { InterruptedError } from '../errors.js';
import type { Warn } from '../errors.js';
import type { OnProgress } from '../progress.js';
import type { Checkpoint } from './checkpoint.js';
import type { CheckpointTensor } from './needed-tensors.js';
import { streamWeights } from './weight-file.js';

export interface LoadOptions {
  readonly onProgress?: OnProgress;
  readonly warn?: Warn;
  readonly signal?: AbortSignal;
}

/** What is done with the tensors that the model needs. */
export interface TensorSink {
  /** Memory for the values of a tensor. */
  readonly allocate: (length: number) => Float32Array;
  readonly onTensor: (tensor: CheckpointTensor, values: Float32Array) => void;
}

/**
 * SHA-256 over the files in the order of their names, hex. Without a `sink` the values are checked and dropped.
 * @throws InputError as `streamWeights`; InterruptedError when `signal` is aborted.
 */
export async function streamCheckpoint(checkpoint: Checkpoint, stage: string, options: LoadOptions, sink?: TensorSink): Promise<string> {
  const hash = createHash('sha256');
  const total = storedBytes(checkpoint);
  let done = 0;
  for (const file of checkpoint.files) {
    const needed = new Map(checkpoint.tensors.filter((tensor) => tensor.file === file).map((tensor) => [tensor.name, tensor]));
    await streamWeights(file, {
      wants: (name) => needed.has(name),
      allocate: sink?.allocate,
      onBytes: (piece) => {
        hash.update(piece);
        done += piece.length;
      },
      onTensor: ({ name }, values) => {
        const tensor = needed.get(name);
        if (tensor !== undefined) sink?.onTensor(tensor, values);
      },
      check: () => {
        stopIfAborted(options.signal, checkpoint);
        options.onProgress?.({ stage, done, total, note: checkpoint.id });
      },
    });
  }
  return hash.digest('hex');
}

/** Bytes of the weight files. */
export function storedBytes(checkpoint: Checkpoint): number {
  return checkpoint.files.reduce((sum, file) => sum + file.bytes, 0);
}

function stopIfAborted(signal: AbortSignal | undefined, checkpoint: Checkpoint): void {
  if (signal?.aborted !== true) return;
  throw new InterruptedError({
    code: 'interrupted',
    what: 'stopped while the model was read',
    given: checkpoint.path,
    hint: 'run the command again',
  });
}
