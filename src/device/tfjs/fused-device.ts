/** The TensorFlow device with our own operations where they are faster; what is not here is the plain device's. */
import type { Attention, AttentionGradients, AttentionInputs, KeyValues, Tensor, Window } from '../device.js';
import { TfjsDevice, type TfjsDeviceOptions } from './device.js';
import type { FusedInputs, FusedKernels } from './fused.js';
import { checkGroups } from './hybrid.js';
import type { Raw, Tfjs } from './kernels.js';
import { handleOf, rawOf, type Handle } from './memory.js';
import { consecutive } from './pieces.js';
import { checkWindow } from './pieces.js';

export class FusedDevice extends TfjsDevice {
  override readonly kernels = 'fused';
  readonly fused: FusedKernels;
  /** Tensors made as buffers: rows may be written into them in place. */
  readonly #buffers = new WeakSet<Handle>();

  constructor(tf: Tfjs, options: TfjsDeviceOptions, fused: FusedKernels) {
    super(tf, options);
    this.fused = fused;
  }

  override zeros(shape: readonly number[]): Tensor {
    return this.#buffer(this.k.fill(shape, 0));
  }

  override writeRows(buffer: Tensor, rows: Tensor, start: number): Tensor {
    const handle = handleOf(buffer);
    // An upload shares its memory with JavaScript, a reshape with another tensor: those are copied, not changed.
    if (!this.#buffers.has(handle) || handle.storage.handles > 1) return this.#copyWithRows(buffer, rows, start);
    const result = this.#buffer(this.fused.writeRows(handle.raw, rawOf(rows), start));
    this.free(buffer);
    return result;
  }

  override reshape(x: Tensor, shape: readonly number[]): Tensor {
    const handle = handleOf(x);
    return this.owner.share(this.fused.reshape(handle.raw, shape), handle);
  }

  override gatherRows(x: Tensor, indices: Int32Array): Tensor {
    return x.dtype === 'f32' ? this.own(this.fused.gatherRows(rawOf(x), indices)) : super.gatherRows(x, indices);
  }

  override sliceRows(x: Tensor, start: number, count: number): Tensor {
    return this.gatherRows(x, consecutive(start, count));
  }

  /** One part is copied, too: TensorFlow would share its memory, which a later writeRows into that part would change. */
  override concatRows(parts: readonly Tensor[]): Tensor {
    const [first] = parts;
    return first && parts.length === 1 ? this.sliceRows(first, 0, first.shape[0] ?? 0) : super.concatRows(parts);
  }

  override gatherHeads(x: Tensor, heads: readonly number[]): Tensor {
    return this.own(this.fused.gatherHeads(rawOf(x), heads));
  }

  override add(a: Tensor, b: Tensor): Tensor {
    return this.own(this.fused.add(rawOf(a), rawOf(b)));
  }

  override matmul(x: Tensor, weight: Tensor): Tensor {
    return this.own(this.fused.matmul(rawOf(x), rawOf(weight)));
  }

  override matmulBackward(dy: Tensor, weight: Tensor): Tensor {
    return this.own(this.fused.matmulBackward(rawOf(dy), rawOf(weight)));
  }

  override rmsNorm(x: Tensor, weight: Tensor, eps: number): Tensor {
    return this.own(this.fused.rmsNorm(rawOf(x), rawOf(weight), eps));
  }

  override rmsNormBackward(dy: Tensor, x: Tensor, weight: Tensor, eps: number): Tensor {
    return this.own(this.fused.rmsNormBackward(rawOf(dy), rawOf(x), rawOf(weight), eps));
  }

  override rope(x: Tensor, cos: Tensor, sin: Tensor): Tensor {
    return this.own(this.fused.rotate(rawOf(x), rawOf(cos), rawOf(sin), 'forward'));
  }

  override ropeBackward(dy: Tensor, cos: Tensor, sin: Tensor): Tensor {
    return this.own(this.fused.rotate(rawOf(dy), rawOf(cos), rawOf(sin), 'backward'));
  }

  override swiglu(gate: Tensor, up: Tensor): Tensor {
    return this.own(this.fused.swiglu(rawOf(gate), rawOf(up)));
  }

  override swigluBackward(dy: Tensor, gate: Tensor, up: Tensor): { dGate: Tensor; dUp: Tensor } {
    return this.ownAll(this.fused.swigluBackward(rawOf(dy), rawOf(gate), rawOf(up)));
  }

  override mixGates(full: Tensor, stream: Tensor, gates: Tensor): Tensor {
    return this.own(this.fused.mixGates(rawOf(full), rawOf(stream), rawOf(gates)));
  }

  override mixGatesBackward(dMix: Tensor, full: Tensor, stream: Tensor, gates: Tensor): { dFull: Tensor; dStream: Tensor; dGates: Tensor } {
    return this.ownAll(this.fused.mixGatesBackward(rawOf(dMix), rawOf(full), rawOf(stream), rawOf(gates)));
  }

  override causalAttention(inputs: AttentionInputs): Attention {
    return this.ownAll(this.fused.attention(rawInputs(inputs)));
  }

  override causalAttentionBackward(dOut: Tensor, inputs: AttentionInputs, forward: Attention): AttentionGradients {
    return this.ownAll(this.fused.attentionBackward(rawOf(dOut), rawInputs(inputs), rawAttention(forward)));
  }

  override streamingAttention(inputs: AttentionInputs, window: Window): Attention {
    return this.ownAll(this.fused.attention(rawInputs(inputs, window)));
  }

  override streamingAttentionBackward(dOut: Tensor, inputs: AttentionInputs, forward: Attention, window: Window): AttentionGradients {
    return this.ownAll(this.fused.attentionBackward(rawOf(dOut), rawInputs(inputs, window), rawAttention(forward)));
  }

  override hybridAttention(q: Tensor, groups: readonly KeyValues[], queryStart: number): Tensor {
    checkGroups(q.shape[1] ?? 0, groups);
    const raws = groups.map((group) => ({ ...group, k: rawOf(group.k), v: rawOf(group.v) }));
    return this.own(this.fused.hybridAttention(rawOf(q), raws, queryStart));
  }

  /** A copy has memory of its own, unless it is nothing but the rows. */
  #copyWithRows(buffer: Tensor, rows: Tensor, start: number): Tensor {
    const copy = super.writeRows(buffer, rows, start);
    if (rows.shape[0] !== copy.shape[0]) this.#buffers.add(handleOf(copy));
    return copy;
  }

  #buffer(raw: Raw): Handle {
    const handle = this.own(raw);
    this.#buffers.add(handle);
    return handle;
  }
}

function rawInputs({ q, k, v, queryPositions }: AttentionInputs, window?: Window): FusedInputs {
  if (window) checkWindow(window);
  return { q: rawOf(q), k: rawOf(k), v: rawOf(v), positions: queryPositions, window };
}

function rawAttention({ out, lse }: Attention): { readonly out: Raw; readonly lse: Raw } {
  return { out: rawOf(out), lse: rawOf(lse) };
}
