/**
 * Trapezoid learning rate: up over the first fifth of the steps, flat, down over the last fifth, never below a tenth.
 * https://github.com/mit-han-lab/duo-attention/blob/fe93c31/duo_attn/train.py
 */
export function learningRateFactor(step: number, steps: number): number {
  const fifth = steps / 5;
  return Math.min(1, Math.max((step + 1) / fifth, 0.1), Math.max((steps - step) / fifth, 0.1));
}
