/** The library behind the commands: open a device, load a model, calibrate gates, read and cut patterns, hold the hybrid cache. */

// Devices and models
export { openDevice } from './device/runtime.js';
export type { OpenDeviceOptions } from './device/runtime.js';
export type { Device, DeviceName, Tensor, Window } from './device/device.js';
export { freeModel, loadModel, readModelInfo } from './model/load.js';
export { resolveModelPath } from './model/hub/resolve.js';
export type { ResolveOptions } from './model/hub/resolve.js';
export type { LoadOptions, ModelInfo } from './model/load.js';
export type { Model } from './model/model.js';
export type { ModelConfig } from './model/config.js';

// Calibrate
export * from './calibrate/index.js';
export { initialState, runLoop } from './calibrate/loop.js';
export type { LoopHooks, LoopState, StepRow, ValidationRow } from './calibrate/loop.js';
export type { CalibrationSample, SampleSource } from './calibrate/sample.js';

// Pattern
export { readPattern } from './pattern/read.js';
export { writePattern } from './pattern/write.js';
export { countFull, rankHeads, toMask } from './pattern/mask.js';
export type { Cut, Head } from './pattern/mask.js';
export { resolveCut } from './pattern/cut.js';
export type { CutRequest, ResolvedCut } from './pattern/cut.js';
export { cutReport } from './pattern/cut-report.js';
export { comparePatterns } from './pattern/compare.js';
export { checkPattern } from './pattern/check.js';
export { patternHash } from './pattern/hash.js';
export { cacheBytes } from './pattern/cache-bytes.js';
export { parsePattern } from './pattern/schema.js';
export type { Mask, Pattern, PatternInput } from './pattern/schema.js';

// Cache
export { HybridCache } from './cache/hybrid-cache.js';
export type { CacheOptions, LayerKeyValues, WindowRule } from './cache/hybrid-cache.js';
export { prefill } from './evaluate/prefill.js';
export type { PrefillOptions } from './evaluate/prefill.js';
export { decode, decodeStep } from './evaluate/decode.js';
export type { Completion, DecodeOptions } from './evaluate/decode.js';

// Errors and what runs beside the work
export { DuoError } from './errors.js';
export type { ErrorFacts, ExitCode, Warn, Warning } from './errors.js';
export type { OnProgress, Progress } from './progress.js';
