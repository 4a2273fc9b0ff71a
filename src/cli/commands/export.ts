/** `duo export`: a pattern in the format of another runtime, read back and compared on request. */
import { InputError } from '../../errors.js';
import { requestedCut, resolveCut } from '../../pattern/cut.js';
import type { ResolvedCut } from '../../pattern/cut.js';
import type { Check, ExportContent } from '../../pattern/formats/format.js';
import { FORMATS, verifyExport, writeExport } from '../../pattern/formats/index.js';
import type { FormatName } from '../../pattern/formats/index.js';
import { patternHash } from '../../pattern/hash.js';
import { openPattern } from '../../pattern/read.js';
import type { OpenedPattern } from '../../pattern/read.js';
import { defineCommand } from '../command.js';
import { cutLines } from '../ui/cut-text.js';
import { CUT_FLAGS, cutContext, cutJson, withWindow } from './cut-options.js';

export const exportCommand = defineCommand({
  name: 'export',
  summary: 'write a pattern in the format of another runtime, and check what was written',
  positionals: ['<pattern>'],
  flags: ['to', 'output', ...CUT_FLAGS, 'model', 'sink', 'recent', 'verify', 'verbatim', 'overwrite'],
  defaults: { to: 'duo' },
  help: {
    model: 'model directory the pattern must fit; gives a budget in bytes its head size',
    sink: 'deployed sink tokens, where they are not those of the pattern',
    recent: 'deployed recent tokens, where they are not those of the pattern',
    retrievalRatio: 'export the mask at this share of full KV heads, too',
  },
  examples: [
    'duo export patterns/duo-mini --to duo --output exported/duo --verify',
    'duo export patterns/duo-mini --to npy --retrieval-ratio 0.5 --output exported/npy --verify',
  ],
  run: async (options, io, positionals) => {
    const [path = ''] = positionals;
    const folder = options.output;
    if (folder === undefined)
      throw new InputError({ code: 'usage', what: 'duo export needs a directory to write to', hint: '--output <dir>' });
    const opened = openPattern(path, { warn: io.warn, sink: options.sink, recent: options.recent });
    const pattern = withWindow(opened.pattern, options);
    const context = await cutContext(pattern, options, io);
    const request = requestedCut(options);
    const cut = request === undefined ? undefined : resolveCut(pattern, request, context);
    const verbatimTsv = options.verbatim === true ? verbatimBytes(opened, options.to, path) : undefined;
    const content: ExportContent = { pattern, cut, verbatimTsv };
    const format = FORMATS[options.to];
    const written = writeExport(format, content, folder, options.overwrite ?? false);
    const checks = options.verify === true ? verifyExport(format, content, folder) : null;
    const load = format.load(folder, content);
    return {
      json: {
        to: format.name,
        written,
        load,
        patternHash: patternHash(pattern),
        cut: cut === undefined ? null : cutJson(cut),
        verified: checks,
      },
      text: report(written, load, cut, checks),
    };
  },
});

/** @throws InputError when there is no imported TSV to copy, or nowhere to copy it to */
function verbatimBytes(opened: OpenedPattern, to: FormatName, path: string): Uint8Array {
  if (to !== 'duo') throw new InputError({ code: 'verbatim', what: '--verbatim copies a TSV', given: `--to ${to}`, expected: '--to duo' });
  if (opened.tsv !== undefined) return opened.tsv;
  throw new InputError({
    code: 'verbatim',
    what: 'this pattern was not imported from a TSV, so there is none to copy',
    given: path,
    expected: 'a DuoAttention directory or a TSV',
    hint: 'leave --verbatim out: the TSV is then made from the raw gates',
  });
}

function report(
  written: readonly string[],
  load: readonly string[],
  cut: ResolvedCut | undefined,
  checks: readonly Check[] | null,
): string {
  return [
    ...written.map((path) => `wrote ${path}`),
    ...(cut === undefined ? [] : ['', ...cutLines(cut)]),
    '',
    'load it with',
    ...load.map((line) => `  ${line}`),
    ...(checks === null ? [] : ['', 'read back and compared, all the same:', ...checks.map(({ what }) => `  ${what}`)]),
    '',
  ].join('\n');
}
