/** RMSNorm over the last dimension, and its gradient to the input. */
import type { Kernels, Raw } from './kernels.js';

/** x / sqrt(mean(x^2) + eps) * weight. */
export function rmsNorm(k: Kernels, x: Raw, weight: Raw, eps: number): Raw {
  return k.tidy(() => k.mul(k.mul(x, inverseRms(k, x, eps)), weight));
}

/** With r = 1 / rms(x), n = x r and g = dy weight: dx = r (g - n mean(g n)). */
export function rmsNormBackward(k: Kernels, dy: Raw, x: Raw, weight: Raw, eps: number): Raw {
  return k.tidy(() => {
    const r = inverseRms(k, x, eps);
    const normed = k.mul(x, r);
    const g = k.mul(dy, weight);
    return k.mul(r, k.sub(g, k.mul(normed, k.meanLast(k.mul(g, normed)))));
  });
}

function inverseRms(k: Kernels, x: Raw, eps: number): Raw {
  return k.rsqrt(k.add(k.meanLast(k.mul(x, x)), k.scalar(eps)));
}
