import { InputError } from '../../src/errors.js';
import type { Warning } from '../../src/errors.js';
import { formatTsv, parseTsv } from '../../src/pattern/tsv.js';

function parse(text: string): { rows: number[][]; warnings: Warning[] } {
  const warnings: Warning[] = [];
  const rows = parseTsv(text, 'heads.tsv', (warning) => warnings.push(warning));
  return { rows, warnings };
}

test('numbers are written as C writes %.18e', () => {
  expect(
    formatTsv([
      [1, 0, -1.59740447998046875e-5],
      [0.1, 1e100, 0.9921875],
    ]),
  ).toBe(
    '1.000000000000000000e+00\t0.000000000000000000e+00\t-1.597404479980468750e-05\n' +
      '1.000000000000000056e-01\t1.000000000000000016e+100\t9.921875000000000000e-01\n',
  );
});

test('a number half-way between two texts is written with the even digit, as C does', () => {
  // The digits after the eighteenth are 5 and nothing more, exactly.
  expect(formatTsv([[Number('1.102685928344726562e-05'), Number('1.233816146850585938e-05')]])).toBe(
    '1.102685928344726562e-05\t1.233816146850585938e-05\n',
  );
});

test.each([
  ['plain rows', '1\t0\n0.5\t.25\n'],
  ['Windows line ends', '1\t0\r\n0.5\t.25\r\n'],
  ['no final line end', '1\t0\n0.5\t.25'],
  ['blank lines and comments', '# gates\n\n1\t0\n \n0.5\t.25\n\n'],
  ['a byte order mark', '\uFEFF1\t0\n0.5\t.25\n'],
  ['spaces around numbers and exponents', ' 1e0 \t0.\n+5E-1\t2.5e-01\n'],
])('%s are read', (_title, text) => {
  expect(parse(text)).toEqual({
    rows: [
      [1, 0],
      [0.5, 0.25],
    ],
    warnings: [],
  });
});

test('a value far outside [0, 1] is kept raw and warned of by its place; a slightly negative one is neither', () => {
  const { rows, warnings } = parse('1\t-9.58e-05\n-0.7\t3.5\n');
  expect(rows).toEqual([
    [1, Math.fround(-9.58e-5)],
    [Math.fround(-0.7), 3.5],
  ]);
  expect(warnings).toEqual([
    expect.objectContaining({ code: 'gate_outside', message: expect.stringContaining('row 2, column 1 is -0.7') }),
  ]);
});

test('minus zero is read as zero, so that equal gates have equal bits', () => {
  expect(Object.is(parse('-0.0\n').rows[0]?.[0], 0)).toBe(true);
});

test.each([
  ['', 'the pattern file is empty'],
  ['\n\n', 'the pattern file holds no rows'],
  ['1\t0\n1\n', 'row 2 has 1 values, row 1 has 2'],
  ['1\t0\t\n', 'row 1, column 3 is empty'],
  ['1\t0\n\t1\n', 'row 2, column 1 is empty'],
  ['1\tnan\n', 'row 1, column 2 is NaN'],
  ['1\t-Infinity\n', 'row 1, column 2 is infinite'],
  ['1\t1e39\n', 'row 1, column 2 is outside float32: 1e39'],
  ['1\tfull\n', 'row 1, column 2 is not a number: "full"'],
  ['0.55abc\n', 'row 1, column 1 is not a number: "0.55abc"'],
  ['0x1\n', 'row 1, column 1 is not a number: "0x1"'],
  ['1_0\n', 'row 1, column 1 is not a number: "1_0"'],
  ['1,0\t0,5\n', 'row 1, column 1 is not a number: "1,0"'],
  ['1.0 0.0\n', 'row 1, column 1 is not a number: "1.0 0.0"'],
  ['# gates\n1\n\nx\n', 'row 2 (line 4), column 1 is not a number: "x"'],
  [`${'9'.repeat(5000)}x\n`, `row 1, column 1 is not a number: "${'9'.repeat(40)}…"`],
  ['\u0000\u0001\n', 'row 1, column 1 is not a number: "\\u0000\\u0001"'],
  ['1\n'.repeat(1025), 'more than 1024 rows'],
  ['\n'.repeat(9000), 'more than 8192 lines'],
  [`${'1\t'.repeat(1024)}1\n`, 'more than 1024 columns'],
  [`${'1\t'.repeat(1023)}1\n`.repeat(65), 'more than 65536 values'],
])('%.20j is refused', (text, message) => {
  expect(() => parse(text)).toThrow(InputError);
  expect(() => parse(text)).toThrow(message);
});
