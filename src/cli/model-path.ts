/** Where the model that `--model` names lies. */
import { defaultModelPath } from '../model/checkpoint.js';
import { resolveModelPath } from '../model/hub/resolve.js';
import type { Io } from './command.js';

export interface ModelOptions {
  readonly model?: string | undefined;
  readonly offline?: boolean | undefined;
}

/** The local path of the model, fetched from the hub where it is named `hf:...`; the embedded model when none is named. */
export function localModel({ model, offline }: ModelOptions, io: Io): Promise<string> {
  const { environment, onProgress, warn, note, signal } = io;
  return resolveModelPath(model ?? defaultModelPath(), { environment, offline, onProgress, warn, note, signal });
}
