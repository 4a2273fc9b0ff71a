import { containsValue, isStrictlyRight } from '../../src/evaluate/score.js';

const VALUE = '4821930';

test.each([
  [' 4821930', true],
  [' 4821930.', true],
  ['4821930.\nand more', true],
  [' 4821930 .', false],
  [' 4821930..', false],
  ['\n4821930', false],
  [' The number is 4821930.', false],
  [' 48219300', false],
  ['', false],
])('strictly, %j is right: %s', (answer, right) => {
  expect(isStrictlyRight(answer, VALUE)).toBe(right);
});

test.each([
  [' 4821930', true],
  [' The number is\n4821930.', true],
  [' 482193', false],
  ['', false],
])('the value occurs in %j: %s', (answer, right) => {
  expect(containsValue(answer, VALUE)).toBe(right);
});
