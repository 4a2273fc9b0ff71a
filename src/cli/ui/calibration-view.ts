/** What a calibration shows while it runs: a live screen on a terminal, plain lines elsewhere. */
import type { CalibrationHooks } from '../../calibrate/index.js';
import type { CalibrationSettings } from '../../calibrate/settings.js';
import { formatNumber } from './numbers.js';
import type { Io } from '../command.js';

export interface CalibrationView {
  readonly hooks: Pick<CalibrationHooks, 'onSeed' | 'onStep' | 'onValidation'>;
  readonly end: () => void;
}

export async function openCalibrationView(io: Io, settings: CalibrationSettings, seeds: readonly number[]): Promise<CalibrationView> {
  if (io.screen === undefined) return plainView(io, settings, seeds);
  // Loaded here alone: the terminal library takes longer to start than most commands take to run.
  const { openScreen } = await import('./calibration-screen.js');
  return openScreen(io.screen, { settings, seeds, color: io.screenColor });
}

function plainView(io: Io, settings: CalibrationSettings, seeds: readonly number[]): CalibrationView {
  let checked = '';
  return {
    hooks: {
      onStep: (seed, row) =>
        io.onProgress({
          stage: seeds.length > 1 ? `calibrating seed ${seed}` : 'calibrating',
          done: row.step,
          total: settings.steps,
          note: `distill ${formatNumber(row.distill)}, mean gate ${row.meanGate.toFixed(3)}${checked}`,
        }),
      onValidation: (_seed, row) => {
        checked = `, held-out loss ${formatNumber(row.loss)}, passkeys at 50 % ${(100 * row.passkeyAccuracy).toFixed(1)} %`;
      },
    },
    end: () => undefined,
  };
}
