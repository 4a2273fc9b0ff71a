/**
 * Rotary embedding, half-split: (x1, x2) becomes (x1 cos - x2 sin, x2 cos + x1 sin), that is
 * x [cos, cos] + swap(x) [-sin, sin], where swap exchanges the halves. Its gradient rotates the other way.
 */
import type { Kernels, Raw } from './kernels.js';

/** cos twice over, (tokens, 1, headDim), from cos (tokens, headDim / 2). */
export function bothHalves(k: Kernels, cos: Raw): Raw {
  return k.tidy(() => overHeads(k, k.concat([cos, cos], 1)));
}

/** [-sin, sin] for the rotation, [sin, -sin] for its inverse, (tokens, 1, headDim). */
export function signedHalves(k: Kernels, sin: Raw, direction: 'forward' | 'backward'): Raw {
  return k.tidy(() => {
    const negative = k.neg(sin);
    return overHeads(k, k.concat(direction === 'forward' ? [negative, sin] : [sin, negative], 1));
  });
}

/** x (tokens, heads, headDim) rotated by tables made above. */
export function rotate(k: Kernels, x: Raw, cos: Raw, sin: Raw): Raw {
  return k.tidy(() => k.add(k.mul(x, cos), k.mul(k.swapHalves(x), sin)));
}

function overHeads(k: Kernels, table: Raw): Raw {
  const [tokens = 0, headDim = 0] = table.shape;
  return k.reshape(table, [tokens, 1, headDim]);
}
