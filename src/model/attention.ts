/**
 * What the model itself lets a layer's heads see: every token before, or a window of the layer's own. A streaming head there sees a key only
 * if both rules allow it; a head that is not restricted otherwise sees the layer's window.
 */
import type { Attention, AttentionGradients, AttentionInputs, Device, Tensor, Window } from '../device/device.js';
import { at } from '../errors.js';
import type { ModelConfig } from './config.js';

/** Tokens that a layer's heads see at most, the current one included, where that is less than `tokens`; undefined: nothing is hidden. */
export function reachOf({ windows }: Pick<ModelConfig, 'windows'>, layer: number, tokens: number): number | undefined {
  const own = at(windows, layer);
  return own === null || own >= tokens ? undefined : own;
}

/** The window of a head that sees all that its layer does. */
export function fullWindow(reach: number): Window {
  return { sink: 0, recent: reach, block: 1 };
}

/** A streaming head's window in a layer of this reach. */
export function windowWithin(window: Window, reach: number | undefined): Window {
  return reach === undefined ? window : { ...window, reach };
}

/** Attention of heads that see all that their layer does. */
export function fullAttention(device: Device, inputs: AttentionInputs, reach: number | undefined): Attention {
  return reach === undefined ? device.causalAttention(inputs) : device.streamingAttention(inputs, fullWindow(reach));
}

export function fullAttentionBackward(
  device: Device,
  dOut: Tensor,
  inputs: AttentionInputs,
  forward: Attention,
  reach: number | undefined,
): AttentionGradients {
  if (reach === undefined) return device.causalAttentionBackward(dOut, inputs, forward);
  return device.streamingAttentionBackward(dOut, inputs, forward, fullWindow(reach));
}
