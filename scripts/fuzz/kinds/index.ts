/** The table of kinds. A new one is a file here and a row. */
import type { FuzzKind } from '../kind.js';
import { checkpointKind } from './checkpoint.js';
import { ggufKind } from './gguf.js';
import { patternKind } from './pattern.js';
import { runDirectoryKind } from './run-directory.js';
import { safetensorsKind } from './safetensors.js';
import { tokenizerKind } from './tokenizer.js';
import { yamlKind } from './yaml.js';

export const KINDS: readonly FuzzKind[] = [
  safetensorsKind,
  ggufKind,
  tokenizerKind,
  checkpointKind,
  patternKind,
  yamlKind,
  runDirectoryKind,
];
