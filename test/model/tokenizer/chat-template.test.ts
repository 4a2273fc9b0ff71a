import { InputError } from '../../../src/errors.js';
import { chatTemplate, formatTime } from '../../../src/model/tokenizer/chat-template.js';
import type { ChatMessage } from '../../../src/model/model.js';

const MESSAGES: readonly ChatMessage[] = [
  { role: 'system', content: 'Be kind.' },
  { role: 'user', content: 'Hi!' },
];

const render = (template: string, messages = MESSAGES): string =>
  chatTemplate(template, { bos_token: '<s>', eos_token: undefined }, 'model')(messages, true);

/** A template that doubles `start` by `step` sixty times. */
const doubling = (start: string, step: string, use = ''): string =>
  `{% set ns = namespace(x=${start}) %}{% for i in range(60) %}{% set ns.x = ${step} %}{% endfor %}${use}`;
/** A text of 2^19 characters as `ns.x`. */
const LONG = "{% set ns = namespace(x='a') %}{% for i in range(19) %}{% set ns.x = ns.x + ns.x %}{% endfor %}";

describe('a chat template', () => {
  test.each([
    ['messages', '{% for m in messages %}{{ m.role }}={{ m["content"] }};{% endfor %}', 'system=Be kind.;user=Hi!;'],
    ['special tokens, and nothing for those that are unset', '{{ bos_token }}{{ eos_token }}|', '<s>|'],
    ['the generation prompt', '{% if add_generation_prompt %}go{% endif %}', 'go'],
    ['tools and documents, which are none', "{{ 'none' if tools is none and documents is none else 'some' }}", 'none'],
    ['range', '{% for i in range(3) %}{{ i }}{% endfor %}{% for i in range(5, 0, -2) %}{{ i }}{% endfor %}', '012531'],
    [
      'namespace and loop controls',
      '{% set ns = namespace(n=0) %}{% for m in messages %}{% if loop.first %}{% continue %}{% endif %}{% set ns.n = loop.index %}{% endfor %}{{ ns.n }}',
      '2',
    ],
    ['macros', '{% macro say(what) %}[{{ what }}]{% endmacro %}{{ say(messages[1].content) }}', '[Hi!]'],
    ['JSON as Python writes it', "{{ {'a': [1, none, 'é']} | tojson }}", '{"a": [1, null, "é"]}'],
    ['the line break after a block, which it takes', '{% if true %}\na\n{% endif %}\nb', 'a\nb'],
    ['today', "{{ strftime_now('%Y')|length }}", '4'],
  ])('has %s', (_title, template, text) => {
    expect(render(template)).toBe(text);
  });

  test('renders messages that are longer than its other bounds', () => {
    const content = 'x '.repeat(1 << 19);
    expect(render("{{ messages[0].content.replace(' ', '__') | trim }}", [{ role: 'user', content }]).length).toBe(3 << 19);
  });

  // Which of two bounds is reached first depends on the machine.
  test.each<[string, string, string | RegExp]>([
    ['refuses', "{{ raise_exception('no system message') }}", 'no system message'],
    ['is not one', '{% for %}', 'cannot be rendered'],
    ['is longer than any', 'x'.repeat(300_000), '300000 characters'],
    ['asks for too many numbers', '{% for i in range(10**9) %}x{% endfor %}', 'range of 1000000000 numbers'],
    ['asks for numbers without end', '{{ range(0, 1, 0) }}', 'range of Infinity numbers'],
    ['loops inside loops', '{% for i in range(60000) %}{% for j in range(60000) %}x{% endfor %}{% endfor %}', /more than|stopped after/],
    ['calls itself', '{% macro f(x) %}{{ f(x) }}{% endmacro %}{{ f(1) }}', 'cannot be rendered'],
    ['is nested without end', `{{ ${'('.repeat(50_000)}1${')'.repeat(50_000)} }}`, 'cannot be rendered'],
    ['doubles a text', doubling("'a'", 'ns.x + ns.x'), /a value of|stopped after/],
    ['doubles a list', doubling('[1]', 'ns.x + ns.x'), /a value of|stopped after/],
    ['writes a list that holds itself twice', doubling('[1]', '[ns.x, ns.x]', '{{ ns.x | tojson }}'), 'stopped after'],
    ['indents by a billion', "{{ 'a\nb' | indent(10**9) }}", 'a width of 1000000000'],
    ['indents JSON by a billion', '{{ messages | tojson(indent=10**9) }}', 'a width of 1000000000'],
    ['indents a block by a billion', '{% filter indent(10**9) %}a\nb{% endfilter %}', 'a width of 1000000000'],
    ['replaces a letter by a text', `${LONG}{{ ns.x.replace('a', ns.x) }}`, /a value of 524288 times 524288|stopped after/],
    ['joins letters with a text', `${LONG}{{ ns.x | join(ns.x) }}`, /a value of 524288 times 524288|stopped after/],
    ['adds to a text for ever', `${LONG}{% for i in range(60000) %}{% set y = ns.x ~ i %}{% endfor %}`, /more than|stopped after/],
  ])('ends with an error when it %s', (_title, template, message) => {
    expect(() => render(template)).toThrow(InputError);
    expect(() => render(template)).toThrow(message);
  });
});

test('formatTime writes what Python does in the C locale', () => {
  const time = new Date(2026, 2, 7, 15, 4, 5);
  expect(formatTime('%d %b %Y, %A %B %H:%M:%S %I%p %y %a %m %% %Q', time)).toBe('07 Mar 2026, Saturday March 15:04:05 03PM 26 Sat 03 % %Q');
});
