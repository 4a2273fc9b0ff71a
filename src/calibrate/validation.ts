/** Held-out checks along the way: the loss of the gates as they are, and whether half of the heads would do. */
import { at } from '../errors.js';
import { logits } from '../model/layer.js';
import type { Model } from '../model/model.js';
import { maskOf } from '../pattern/mask.js';
import type { Gates } from './gates.js';
import { regularization } from './loss.js';
import { indicesOf } from './sample.js';
import type { CalibrationSample } from './sample.js';
import type { CalibrationSettings } from './settings.js';
import { twoWayForward } from './two-way.js';

export interface Validation {
  /** Distillation loss plus penalty on held-out samples. */
  readonly loss: number;
  /** Share of passkey words right under teacher forcing with the top half of the heads full, the rest streaming. */
  readonly passkeyAccuracy: number;
}

/** Checks `gates` (clamped) on held-out samples. */
export function validate(model: Model, settings: CalibrationSettings, samples: readonly CalibrationSample[], gates: Gates): Validation {
  const half = topHalf(gates);
  const losses = samples.map((sample) => distillLoss(model, settings, sample, gates));
  const accuracies = samples.map((sample) => passkeyAccuracy(model, settings, sample, half));
  return { loss: mean(losses) + regularization(gates, settings.regularization), passkeyAccuracy: mean(accuracies) };
}

function distillLoss(model: Model, settings: CalibrationSettings, sample: CalibrationSample, gates: Gates): number {
  const { device } = model;
  const loss = device.scope(() => {
    const { teacher, student } = twoWayForward(model, sample.ids, indicesOf(sample.labels), gates, settings);
    return device.maskedMse(teacher, student);
  });
  const value = at(device.download(loss), 0);
  device.free(loss);
  return value;
}

/** Share of answer tokens that are the student's first choice after the right prefix. */
function passkeyAccuracy(model: Model, settings: CalibrationSettings, sample: CalibrationSample, mask: Gates): number {
  const { device } = model;
  const answers = indicesOf(sample.answer);
  const best = device.scope(() => {
    const { student } = twoWayForward(
      model,
      sample.ids,
      answers.map((position) => position - 1),
      mask,
      { ...settings, fullBranch: 'own' },
    );
    return device.argmax(logits(model, student));
  });
  const chosen = device.downloadInts(best);
  device.free(best);
  const right = [...answers].filter((position, i) => at(sample.ids, position) === at(chosen, i));
  return right.length / answers.length;
}

/** The mask that keeps the highest half of the heads, as gates: 1 or 0. */
function topHalf(gates: Gates): Float32Array[] {
  const heads = gates.length * at(gates, 0).length;
  return maskOf(gates, Math.floor(heads / 2)).map((row) => Float32Array.from(row, Number));
}

function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}
