/** The mix of full and streaming attention by one gate per KV head, and its gradients. */
import type { Kernels, Raw } from './kernels.js';

/** g * full + (1 - g) * stream. Written so that a gate of 1 or 0 gives one branch exactly. */
export function mixGates(k: Kernels, full: Raw, stream: Raw, gates: Raw): Raw {
  return k.tidy(() => {
    const g = perQueryHead(k, gates, full);
    return k.add(k.mul(full, g), k.mul(stream, oneMinus(k, g)));
  });
}

export function mixGatesBackward(k: Kernels, dMix: Raw, full: Raw, stream: Raw, gates: Raw): { dFull: Raw; dStream: Raw; dGates: Raw } {
  return k.tidy(() => {
    const g = perQueryHead(k, gates, full);
    const perHead = k.sum(k.sum(k.mul(dMix, k.sub(full, stream)), 2), 0); // (heads)
    const kvHeads = gates.size;
    const dGates = k.sum(k.reshape(perHead, [kvHeads, perHead.size / kvHeads]), 1);
    return { dFull: k.mul(dMix, g), dStream: k.mul(dMix, oneMinus(k, g)), dGates };
  });
}

/** Gates (kvHeads) as (heads, 1), each repeated for the query heads of its group. */
function perQueryHead(k: Kernels, gates: Raw, attention: Raw): Raw {
  const heads = attention.shape[1] ?? 0;
  const group = heads / gates.size;
  const ofGroup =
    group === 1
      ? gates
      : k.gather(
          gates,
          Array.from({ length: heads }, (_, head) => Math.floor(head / group)),
          0,
        );
  return k.reshape(ofGroup, [heads, 1]);
}

function oneMinus(k: Kernels, x: Raw): Raw {
  return k.sub(k.scalar(1), x);
}
