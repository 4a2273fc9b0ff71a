/** Imports point one way: cli -> calibrate | evaluate -> model, cache, pattern, data -> device; and never in a circle. */
const below = (name, from, to, comment) => ({ name, comment, severity: 'error', from: { path: from }, to: { path: to } });

module.exports = {
  forbidden: [
    { name: 'no-circular', severity: 'error', from: {}, to: { circular: true, viaOnly: { dependencyTypesNot: ['type-only'] } } },
    {
      name: 'no-orphans-of-package',
      comment: 'what is imported is in package.json',
      severity: 'error',
      from: { path: '^(bin|src)' },
      to: { dependencyTypes: ['npm-no-pkg', 'npm-unknown', 'npm-dev'] },
    },
    below('calibrate-knows-no-evaluate', '^src/calibrate', '^src/evaluate', 'the two flows share what is below them, not each other'),
    below('evaluate-knows-no-calibrate', '^src/evaluate', '^src/calibrate', 'the two flows share what is below them, not each other'),
    below(
      'no-device-in-plain-folders',
      '^src/(pattern|data|config|report)',
      '^src/(device|cache|calibrate|evaluate)',
      'these know no device',
    ),
    below(
      'device-knows-nothing-above',
      '^src/device',
      '^src/(model|cache|pattern|data|calibrate|evaluate|report|verify|cli)',
      'the device is the bottom',
    ),
    below('middle-knows-no-flow', '^src/(model|cache|pattern|data)', '^src/(calibrate|evaluate|verify|cli)', 'flows build on these'),
    below('nothing-imports-cli', '^src/(?!cli)', '^src/cli', 'the command line is the top'),
    {
      name: 'terminal-only-in-cli',
      comment: 'ink, chalk, cli-progress and commander only under src/cli',
      severity: 'error',
      from: { path: '^src/(?!cli)' },
      to: { path: 'node_modules/(ink|chalk|cli-progress|commander|react)/' },
    },
  ],
  options: {
    doNotFollow: { path: 'node_modules' },
    tsPreCompilationDeps: 'specify',
    tsConfig: { fileName: 'tsconfig.json' },
    enhancedResolveOptions: { exportsFields: ['exports'], conditionNames: ['import', 'node'] },
  },
};
