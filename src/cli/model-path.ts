/** Where the model that `--model` names lies. */
import { defaultModelPath } from '../model/checkpoint.js';
import { isHubName } from '../model/hub/name.js';
import type { Io } from './command.js';

export interface ModelOptions {
  readonly model?: string | undefined;
  readonly offline?: boolean | undefined;
}

/** The local path of the model, fetched from the hub where it is named `hf:...`; the embedded model when none is named. */
export async function localModel({ model = defaultModelPath(), offline }: ModelOptions, io: Io): Promise<string> {
  if (!isHubName(model)) return model;
  const { resolveModelPath } = await import('../model/hub/resolve.js');
  const { environment, onProgress, warn, note, signal } = io;
  return resolveModelPath(model, { environment, offline, onProgress, warn, note, signal });
}
