/** JSON of strangers: what is refused beside what is no JSON. */
import { InputError } from '../src/errors.js';
import { parseJson } from '../src/json.js';
import { refusal } from './helpers/refusal.js';

const parse = (text: string | Uint8Array): unknown => parseJson(typeof text === 'string' ? Buffer.from(text) : text, 'x.json', '/x.json');

describe('parseJson', () => {
  test.each(['{}', '[]', '"a\\"b"', '1', '{"a":{"b":[1,{"a":2}]},"b":"a"}', ' { "a" : 1 , "b" : "}{][" } ', '{"a":"b","b":"\\\\"}'])(
    'reads %s',
    (text) => {
      expect(parse(text)).toEqual(JSON.parse(text));
    },
  );

  test.each([
    ['no JSON', '{"a":1', 'json_syntax'],
    ['an unfinished string', '{"a', 'json_syntax'],
    ['nothing', '', 'json_syntax'],
    ['other bytes than UTF-8', Uint8Array.of(0x22, 0xff, 0x22), 'json_utf8'],
    ['a key twice', '{"a":1,"b":2,"a":3}', 'json_repeated'],
    ['a key twice, once escaped', '{"a":1,"\\u0061":3}', 'json_repeated'],
    ['a key twice in an inner object', '[{"x":{"a":1,"a":1}}]', 'json_repeated'],
    ['the key __proto__ twice', '{"__proto__":1,"__proto__":2}', 'json_repeated'],
    ['65 levels', `${'['.repeat(65)}${']'.repeat(65)}`, 'json_excess'],
    ['a million brackets', '['.repeat(1_000_000), 'json_excess'],
    ['five million lists', `[${'[],'.repeat(5_000_000)}0]`, 'json_excess'],
  ])('refuses %s', (_title, text, code) => {
    expect(refusal(() => parse(text))).toBe(code);
  });

  test('takes 64 levels, and one key in several objects', () => {
    expect(refusal(() => parse(`${'['.repeat(64)}${']'.repeat(64)}`))).toBeUndefined();
    expect(parse('[{"a":1},{"a":{"a":1}}]')).toEqual([{ a: 1 }, { a: { a: 1 } }]);
  });

  test('keeps __proto__ a key like any other', () => {
    const value = parse('{"__proto__":{"polluted":true}}') as Record<string, unknown>;
    expect(Object.keys(value)).toEqual(['__proto__']);
    expect(({} as Record<string, unknown>)['polluted']).toBeUndefined();
  });

  test('names the file, the place and the key', () => {
    const messageOf = (text: string): string => {
      try {
        parse(text);
      } catch (error) {
        if (error instanceof InputError) return error.message;
      }
      return '';
    };
    expect(messageOf('{"a":1,}')).toMatch(/^x\.json is not valid JSON: .*position 7/);
    expect(messageOf('{"a":1,"a":2}')).toBe('x.json has the key "a" twice in one object');
  });
});
