import * as values from '../../src/config/values.js';

describe('lengths', () => {
  test.each([
    ['4K,32K', [4096, 32768]],
    ['4k', [4000]],
    ['4K-32K*2', [4096, 8192, 16384, 32768]],
    ['1K-3K+1K', [1024, 2048, 3072]],
  ])('%s', (given, expected) => {
    expect(values.lengths.parse(given)).toEqual(expected);
  });

  test.each(['', '0', '4K-1K*2', '1K-2K', 'x'])('refuses %j', (given) => {
    expect(values.lengths.safeParse(given).success).toBe(false);
  });
});
