/** The library face of calibration. */
export { calibrate } from './calibrate.js';
export type { CalibrationHooks, CalibrationResult, CalibrationRun } from './calibrate.js';
export { resolveSettings } from './settings.js';
export type { CalibrationSettings, GivenSettings } from './settings.js';
export { CalibrationData } from './samples.js';
export { twoWayForward, twoWayStep } from './two-way.js';
