/** The live screen of a calibration: where it is, how the losses go, and the gates settling. */
import { Box, render, Text } from 'ink';
import type { ReactElement } from 'react';
import type { CalibrationSettings } from '../../calibrate/settings.js';
import type { StepRow, ValidationRow } from '../../calibrate/loop.js';
import type { CalibrationView } from './calibration-view.js';
import { gateMap, renderHeadMaps } from './gate-map.js';
import { formatNumber, formatPercent } from './numbers.js';
import { formatDuration } from './progress.js';

interface ScreenOptions {
  readonly settings: CalibrationSettings;
  readonly seeds: readonly number[];
  readonly color: boolean;
}

interface ScreenState {
  readonly seed: number;
  readonly row?: StepRow;
  readonly gates?: readonly Float32Array[];
  readonly distills: readonly number[];
  readonly validation?: ValidationRow;
  /** Time and step when this session began on the seed, for the ETA. */
  readonly startedMs: number;
  readonly startStep: number;
}

/** Redraws come this often at most, ms. */
const FRAME_MS = 100;
const SPARKS = '▁▂▃▄▅▆▇█';
const SPARK_WIDTH = 32;

export function openScreen(stream: NodeJS.WriteStream, options: ScreenOptions): CalibrationView {
  let state: ScreenState = { seed: options.seeds[0] ?? 0, distills: [], startedMs: Date.now(), startStep: 0 };
  let drawnMs = 0;
  const app = render(<Screen state={state} options={options} columns={stream.columns} />, {
    stdout: stream,
    exitOnCtrlC: false,
    patchConsole: false,
  });
  const show = (change: Partial<ScreenState>, now = Date.now()): void => {
    state = { ...state, ...change };
    if (now - drawnMs < FRAME_MS && state.row?.step !== options.settings.steps) return;
    drawnMs = now;
    app.rerender(<Screen state={state} options={options} columns={stream.columns} />);
  };
  return {
    hooks: {
      onSeed: (seed, { step }) => show({ seed, distills: [], startedMs: Date.now(), startStep: step }),
      onStep: (_seed, row, gates) => show({ row, gates: [...gates], distills: [...state.distills, row.distill] }),
      onValidation: (_seed, validation) => show({ validation }),
    },
    end: () => {
      // The summary, or the error, says it again.
      app.clear();
      app.unmount();
    },
  };
}

function Screen({ state, options, columns }: { state: ScreenState; options: ScreenOptions; columns: number }): ReactElement {
  const { row, gates } = state;
  const title = `calibrating${options.seeds.length > 1 ? `, seed ${state.seed} of ${options.seeds.join(', ')}` : ''}`;
  if (row === undefined) return <Text>{title}: first step …</Text>;
  return (
    <Box flexDirection="column" width={columns}>
      <Text>
        <Text bold>{title}</Text> {bar(row.step / options.settings.steps)} step {row.step} of {options.settings.steps},{' '}
        {left(state, options)}
      </Text>
      <Fact
        name="losses"
        value={`distill ${formatNumber(row.distill)}  penalty ${formatNumber(row.regularization)}  ${sparkline(state.distills)}`}
      />
      <Fact name="gates" value={`mean ${row.meanGate.toFixed(3)}  settled ${formatPercent(row.settledShare)}`} />
      <Fact
        name="sample"
        value={`${row.contextTokens.toLocaleString('en')} tokens, ${row.labelledTokens} labelled  rate ${formatNumber(row.learningRate)}`}
      />
      {state.validation === undefined ? null : (
        <Fact
          name="held out"
          value={`loss ${formatNumber(state.validation.loss)}  passkeys at 50 % of the heads ${formatPercent(state.validation.passkeyAccuracy)}`}
        />
      )}
      {gates === undefined ? null : <Text>{renderHeadMaps([gateMap('gates', gates)], { color: options.color, columns }).join('\n')}</Text>}
      <Text dimColor>Ctrl-C stops and keeps the gates; the same command goes on.</Text>
    </Box>
  );
}

function Fact({ name, value }: { name: string; value: string }): ReactElement {
  return (
    <Text wrap="truncate-end">
      <Text dimColor>{name.padEnd(9)}</Text>
      {value}
    </Text>
  );
}

function bar(share: number, width = 20): string {
  const filled = Math.round(share * width);
  return '█'.repeat(filled) + '░'.repeat(width - filled);
}

function left({ row, startedMs, startStep }: ScreenState, { settings }: ScreenOptions): string {
  const done = (row?.step ?? 0) - startStep;
  if (done <= 0) return 'time left unknown';
  return `${formatDuration(((Date.now() - startedMs) / done) * (settings.steps - (row?.step ?? 0)))} left`;
}

/** The latest losses, lowest to highest block; fewer columns than values shows the latest. */
export function sparkline(values: readonly number[]): string {
  const shown = values.slice(-SPARK_WIDTH);
  const [low, high] = [Math.min(...shown), Math.max(...shown)];
  const level = (value: number): number => (high > low ? Math.round(((value - low) / (high - low)) * (SPARKS.length - 1)) : 0);
  return shown.map((value) => SPARKS[level(value)] ?? '').join('');
}
