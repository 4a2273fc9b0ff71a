import { renderError, renderWarning } from '../../src/cli/render.js';
import { InputError } from '../../src/errors.js';

describe('messages that quote a stranger', () => {
  const name = `tensor \u001b[2J${'n'.repeat(300_000)}`;

  test.each([
    ['an error', renderError(new InputError({ code: 'any', what: name, given: name, expected: name, hint: name }), false)],
    ['a warning', renderWarning({ code: 'any', message: name, hint: name }, false)],
  ])('steer no terminal and fill none: %s', (_, text) => {
    expect(text).toContain('tensor \ufffd[2Jnnn');
    expect(text).not.toContain('\u001b');
    expect(text.length).toBeLessThan(20_000);
  });
});
