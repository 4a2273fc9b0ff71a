/** The pattern directory: ours and at once DuoAttention's, for every reader of its format. */
import { CONFIG_NAME, configJson, parseDuoConfig } from '../duo-config.js';
import { rankHeads } from '../mask.js';
import { PATTERN_NAME, patternJson } from '../pattern-json.js';
import { parsePattern } from '../schema.js';
import type { Pattern } from '../schema.js';
import { TSV_NAME } from '../tsv.js';
import { patternFiles } from '../write.js';
import { arraysOf, compareArrays } from './format.js';
import type { Check, ExportContent, PatternFormat, ReadFile } from './format.js';

/** OmniServe's windows while decoding are whole pages of its KV cache, tokens. */
const OMNISERVE_PAGE = 64;

export const duoFormat: PatternFormat = {
  name: 'duo',
  writes: `${TSV_NAME} (%.18e, tabs; rows are layers, columns KV heads, ranks as the raw gates), ${CONFIG_NAME} (sink_size, recent_size, deploy_* and the other 41 settings), ${PATTERN_NAME} (raw gates, provenance)`,
  files: [TSV_NAME, CONFIG_NAME, PATTERN_NAME],
  write: ({ pattern, cut, verbatimTsv }) => {
    const files = patternFiles(pattern, cut?.sparsity);
    return verbatimTsv === undefined ? files : new Map<string, string | Uint8Array>([...files, [TSV_NAME, verbatimTsv]]);
  },
  load: (folder, { pattern, cut, verbatimTsv }) => {
    const { sink, recent } = pattern.windows.deployed;
    const sparsity = cut === undefined ? 'S' : String(cut.sparsity);
    const pages = [sink, recent].every((tokens) => tokens % OMNISERVE_PAGE === 0)
      ? ''
      : `  (OmniServe wants multiples of ${OMNISERVE_PAGE})`;
    return [
      ...(cut === undefined ? ['S below is the share of heads that stream, such as 0.5'] : []),
      ...(verbatimTsv === undefined ? [] : ['the TSV is as it was published: readers break its ties by noise of their own']),
      `duo-attention: heads, sink, recent = load_attn_pattern("${folder}"); heads, _ = sparsify_attention_heads(heads, sparsity=${sparsity})`,
      `OmniServe: --static-sparse-attn-load-dir ${folder} --static-sparsity ${sparsity} --dec-sink-token ${sink} --dec-local-token ${recent}${pages}`,
      `duo: duo evaluate --pattern ${folder} --sparsity ${sparsity}`,
    ];
  },
  verify,
};

function verify(read: ReadFile, content: ExportContent): readonly Check[] {
  const text = (name: string): string => Buffer.from(read(name)).toString('utf8');
  const { pattern, cut, verbatimTsv } = content;
  const found = parsePattern(JSON.parse(text(PATTERN_NAME)), PATTERN_NAME);
  const windows = parseDuoConfig(JSON.parse(text(CONFIG_NAME)), CONFIG_NAME).windows.deployed;
  const wanted = pattern.windows.deployed;
  return [
    ...compareArrays({ ...arraysOf({ pattern: found }), mask: undefined }, { pattern }),
    { what: `${PATTERN_NAME}: the whole of it`, same: patternJson(found) === patternJson(pattern) },
    {
      what: `${CONFIG_NAME}: sink ${wanted.sink}, recent ${wanted.recent}, and the other settings`,
      same: windows.sink === wanted.sink && windows.recent === wanted.recent && text(CONFIG_NAME) === configJson(pattern, cut?.sparsity),
    },
    verbatimTsv === undefined
      ? ranksSurvive(text(TSV_NAME), pattern)
      : { what: `${TSV_NAME}: ${verbatimTsv.length} bytes as imported`, same: Buffer.compare(read(TSV_NAME), verbatimTsv) === 0 },
  ];
}

/** Whether a reader that adds noise below 1e-6 and cuts at a quantile gets our mask at every ratio: ranks alike, gaps that noise cannot close. */
function ranksSurvive(tsv: string, pattern: Pattern): Check {
  const values = tsv
    .trimEnd()
    .split('\n')
    .map((line) => line.split('\t').map(Number)); // float64, as readers take them
  const ranked = rankHeads(pattern.gates).map(({ layer, head }) => values[layer]?.[head] ?? Number.NaN);
  const apart = ranked.every((value, i) => i === 0 || (ranked[i - 1] ?? Number.NaN) - value >= 2e-6);
  const inUnit = ranked.every((value) => value >= 0 && value <= 1);
  return { what: `${TSV_NAME}: the same mask at all ${ranked.length + 1} ratios under noise below 1e-6`, same: apart && inUnit };
}
