/** The gated activation of the feed-forward block, and its gradients. */
import type { Kernels, Raw } from './kernels.js';

/** silu(gate) * up, with silu(x) = x sigmoid(x). */
export function swiglu(k: Kernels, gate: Raw, up: Raw): Raw {
  return k.tidy(() => k.mul(k.mul(gate, k.sigmoid(gate)), up));
}

/** dUp = dy silu(gate); dGate = dy up (s + silu(gate) (1 - s)), with s = sigmoid(gate). */
export function swigluBackward(k: Kernels, dy: Raw, gate: Raw, up: Raw): { dGate: Raw; dUp: Raw } {
  return k.tidy(() => {
    const s = k.sigmoid(gate);
    const silu = k.mul(gate, s);
    const slope = k.add(s, k.mul(silu, k.sub(k.scalar(1), s)));
    return { dGate: k.mul(k.mul(dy, up), slope), dUp: k.mul(dy, silu) };
  });
}
