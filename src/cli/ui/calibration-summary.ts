/** What `duo calibrate` prints at the end: the gates, what they say at each ratio, and what to do next. */
import type { SeedResult } from '../../calibrate/result.js';
import { at } from '../../errors.js';
import { cutReport } from '../../pattern/cut-report.js';
import type { Pattern } from '../../pattern/schema.js';
import type { TerminalView } from './blocks.js';
import { cutTable } from './cut-text.js';
import { gateMap, renderHeadMaps } from './gate-map.js';
import { formatNumber, formatPercent } from './numbers.js';

/** Where a calibration has put its results, and what `--model` was given; absent: the embedded model. */
export interface Places {
  readonly output: string;
  readonly run: string;
  readonly model?: string | undefined;
}

export function calibrationSummary(
  { output, run, model }: Places,
  pattern: Pattern,
  results: readonly SeedResult[],
  view: TerminalView,
): string {
  const report = cutReport(pattern);
  const lines = [
    ...renderHeadMaps([gateMap(`gates of ${pattern.model.id}`, pattern.gates)], view),
    '',
    cutTable(report, view.color),
    '',
    ...results.map(seedLine),
    `windows: sink ${pattern.windows.deployed.sink}, recent ${pattern.windows.deployed.recent}`,
    '',
    `pattern  ${output}`,
    `run      ${run}`,
    `next     duo evaluate ${model === undefined ? '' : `--model ${model} `}--pattern ${output} --retrieval-ratio 0.5,0.25`,
  ];
  return `${lines.join('\n')}\n`;
}

function seedLine({ seed, state }: SeedResult): string {
  const check = state.validations.length === 0 ? undefined : at(state.validations, state.validations.length - 1);
  const held =
    check === undefined ? '' : `; held out ${formatNumber(check.loss)}, passkeys at 50 %: ${formatPercent(check.passkeyAccuracy)}`;
  const early = state.stoppedEarly ? ' (stopped early: no gain in the last checks)' : '';
  return `seed ${seed}: ${state.step} steps${early}, distill ${formatNumber(state.last.distill)}${held}`;
}
