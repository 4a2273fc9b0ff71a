/** Patterns to test with. */
import type { PatternInput } from '../../src/pattern/schema.js';
import { randomGates } from './random-gates.js';

/** A calibrated pattern with every optional part filled in. */
export function calibratedPattern(layers = 2, kvHeads = 4, seed = 1): PatternInput {
  const gates = randomGates(layers, kvHeads, seed);
  return {
    schema: 'duo-pattern/1',
    tool: 'duo-attention 0.0.0',
    model: { id: 'tiny', hash: 'a'.repeat(64), layers, kvHeads, queryHeads: 2 * kvHeads, headDim: 64, maxPositions: 8192 },
    gates,
    spread: gates.map((row) => row.map(() => 0.125)),
    windows: { calibrated: { sink: 16, recent: 64 }, deployed: { sink: 16, recent: 64 } },
    calibration: {
      settings: { learningRate: 0.02, haystack: 'essay', minTokens: 512, maxTokens: 1024, passkeys: 5 },
      seeds: [1, 2],
      dataHash: 'b'.repeat(64),
      steps: 40,
      losses: { distill: 0.25, regularization: 0.5 },
      checkpoints: [
        { step: 35, gates: randomGates(layers, kvHeads, seed + 1) },
        { step: 40, gates },
      ],
      seedGates: [gates, randomGates(layers, kvHeads, seed + 2)],
    },
  };
}
