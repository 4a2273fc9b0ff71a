/**
 * The one table of flags: syntax, value type, help. A command picks rows by name and may give defaults;
 * commander, YAML keys (camel case), DUO_* environment variables, --help and the README come from it.
 */
import type { z } from 'zod';
import * as values from '../config/values.js';

export interface Flag<T> {
  /** As commander takes it: `-o, --output <dir>`. A flag with `<...>` takes a value; `[...]` may take one. */
  readonly syntax: string;
  readonly schema: z.ZodType<T>;
  readonly help: string;
}

function flag<T>(syntax: string, schema: z.ZodType<T>, help: string): Flag<T> {
  return { syntax, schema, help };
}

export const FLAGS = {
  // Every command
  format: flag('--format <format>', values.choice('text', 'json'), 'what stdout carries: text for people, json (versioned) for programs'),
  config: flag('-c, --config <file>', values.text, 'YAML file of settings (keys as the flags, in camel case)'),
  printConfig: flag('--print-config', values.toggle, 'print the resolved settings, each with its origin, and stop'),
  device: flag(
    '--device <device>',
    values.choice('auto', 'tensorflow', 'wasm'),
    'where to compute; auto takes TensorFlow when it is set up, else wasm',
  ),
  threads: flag('--threads <n>', values.count(1, 1024), 'threads of the device (default: all cores)'),
  offline: flag('--offline', values.toggle, 'never use the network (models named hf:... come from the cache)'),
  progress: flag(
    '--progress <mode>',
    values.choice('auto', 'live', 'plain', 'none'),
    'progress on stderr: live screen, plain lines or none (auto: live on a terminal)',
  ),

  // Shared by several commands
  model: flag(
    '-m, --model <model>',
    values.text,
    'directory in the Hugging Face layout, .gguf file, or hf:owner/name[@revision][/file.gguf] (default: the embedded duo-mini)',
  ),
  output: flag('-o, --output <dir>', values.text, 'directory to write to'),
  seed: flag('--seed <n>', values.count(0, 2 ** 32 - 1), 'seed of every random choice'),
  sink: flag('--sink <tokens>', values.count(0), 'first tokens that streaming heads keep'),
  recent: flag('--recent <tokens>', values.count(1), 'latest tokens that streaming heads keep, the current one included'),
  haystack: flag('--haystack <name|file>', values.text, 'essay, synthetic, or a .txt .md .jsonl file (.gz too)'),
  retrievalRatio: flag(
    '--retrieval-ratio <share>',
    values.list(values.share),
    'share of KV heads that keep the whole cache; a list where several make sense',
  ),
  sparsity: flag('--sparsity <share>', values.list(values.share), 'share of KV heads that stream (1 - retrieval ratio)'),
  threshold: flag('--threshold <gate>', values.number(0, 1), 'heads whose gate is at least this keep the whole cache'),
  kvBudget: flag(
    '--kv-budget <share|size>',
    values.kvBudget,
    'share of, or bytes for, the full cache at --context; gives the highest ratio that fits',
  ),
  context: flag('--context <tokens>', values.count(1), 'context length the budget and the byte counts are for'),
  pattern: flag('-p, --pattern <dir>', values.text, 'pattern directory, or a full_attention_heads.tsv'),
  prefill: flag('--prefill <mode>', values.prefill, 'streaming (exact, default), chunked:N (as the reference) or dense'),
  fresh: flag('--fresh', values.toggle, 'start again instead of resuming a run with the same settings'),
  dryRun: flag('--dry-run', values.toggle, 'say what would be done, how long it takes and what memory it needs, and stop'),
  samples: flag('--samples <n>', values.count(1), 'samples per cell'),
  lengths: flag('--lengths <tokens>', values.lengths, 'context lengths, e.g. 1K,2K or 1K-8K*2'),
  maxNewTokens: flag('--max-new-tokens <n>', values.count(1), 'most tokens to generate'),

  // calibrate
  preset: flag(
    '--preset <name>',
    values.choice('quick', 'paper'),
    'sizes: quick (40 steps of 512 tokens, 5 x 8 words) or paper (2,000 steps of 1,000-32,000 tokens, 10 x 32 words)',
  ),
  reference: flag(
    '--reference',
    values.toggle,
    "the reference's mathematics: block window 128/256, teacher-full mixing, words, its schedule and labels; evaluating, its prefill and decode window",
  ),
  steps: flag('--steps <n>', values.count(1), 'optimizer steps'),
  lengthCount: flag('--length-count <n>', values.count(1), 'how many lengths between the shortest and the longest'),
  minTokens: flag('--min-tokens <n>', values.count(64), 'shortest sample'),
  maxTokens: flag('--max-tokens <n>', values.count(64), 'longest sample'),
  passkeys: flag('--passkeys <n>', values.count(1, 20), 'passkeys per sample'),
  passkeyWords: flag('--passkey-words <n>', values.count(1, 256), 'words per passkey'),
  tasks: flag('--tasks <mix>', values.text, 'weighted mix of calibration tasks, e.g. words:1,numbers:1, or YAML files of your own'),
  labels: flag('--labels <which>', values.choice('block', 'answer'), 'label the whole question-and-answer block, or the passkeys only'),
  chatTemplate: flag('--chat-template', values.toggle, "wrap every prompt in the model's chat template"),
  learningRate: flag('--learning-rate <rate>', values.number(0, 10), "AdamW's highest learning rate"),
  regularization: flag('--regularization <weight>', values.number(0, 100), 'weight of mean |gate| in the loss'),
  fullBranch: flag(
    '--full-branch <states>',
    values.choice('own', 'teacher'),
    "full attention on the student's own states, or the teacher's output",
  ),
  windowBlock: flag('--window-block <tokens>', values.count(1, 4096), 'block size of the window: 1 is per token, 128 the reference'),
  validateEvery: flag('--validate-every <steps>', values.count(0), 'steps between held-out checks; 0 turns them off'),
  saveEvery: flag('--save-every <steps>', values.count(1), 'steps between checkpoints'),
  earlyStop: flag('--early-stop <checks>', values.count(0), 'stop after this many checks without a 1 % gain; 0 turns it off'),
  seeds: flag(
    '--seeds <list>',
    values.list(values.count(0, 2 ** 32 - 1)),
    'calibrate once per seed and write the mean gates with their spread',
  ),

  // evaluate and run
  suite: flag('--suite <names>', values.list(values.text), 'what to evaluate: niah, passkey, city, or a YAML file of your own'),
  depths: flag('--depths <list>', values.list(values.share), 'needle depths, shares of the haystack, e.g. 0,0.5,1'),
  baselines: flag(
    '--baselines <names>',
    values.list(values.choice('dense', 'random', 'streaming', 'none')),
    'rows beside the pattern: dense, random masks, all streaming',
  ),
  randomMasks: flag('--random-masks <n>', values.count(1, 1000), 'how many seeded random masks of the same ratio'),
  minScore: flag('--min-score <share>', values.share, 'exit 3 when the hybrid score is below this share of the dense score'),
  scorer: flag('--scorer <name>', values.choice('strict', 'substring'), 'which score the heat map and --min-score use'),
  prompt: flag('--prompt <text|file>', values.text, 'the prompt, or a file that holds it'),
  stop: flag('--stop <text>', values.list(values.text), 'texts that end the completion'),
  compare: flag('--compare', values.toggle, 'run the dense model beside the hybrid cache'),

  // export
  to: flag('--to <format>', values.choice('duo', 'json', 'npy', 'safetensors'), 'format to write'),
  verify: flag('--verify', values.toggle, 'read back what was written and compare'),
  overwrite: flag('--overwrite', values.toggle, 'replace files of other content in the output directory'),
  verbatim: flag('--verbatim', values.toggle, 'copy an imported TSV byte for byte (--to duo)'),

  // inspect
  shape: flag('--shape <layers>x<heads>', values.text, 'shape the pattern must have, e.g. 32x8'),

  // verify
  golden: flag('--golden <file>', values.text, 'reference dump (.safetensors) to compare with'),
  tolerance: flag('--tolerance <number>', values.number(0, 1), 'largest absolute difference allowed'),
} as const;

export type FlagName = keyof typeof FLAGS;
export type FlagValue<N extends FlagName> = z.output<(typeof FLAGS)[N]['schema']>;

/** Flags that every command has. */
export const COMMON_FLAGS = [
  'format',
  'config',
  'printConfig',
  'device',
  'threads',
  'offline',
  'progress',
] as const satisfies readonly FlagName[];
