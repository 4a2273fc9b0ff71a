import { hubNameOf, isHubName, isPlainName, parseHubName } from '../../../src/model/hub/name.js';
import { refusal } from '../../helpers/refusal.js';

const COMMIT = '0123456789abcdef0123456789abcdef01234567';

describe('hf: names', () => {
  test.each([
    ['hf:owner/name', { repository: 'owner/name', revision: 'main' }],
    ['hf:Qwen/Qwen2.5-0.5B', { repository: 'Qwen/Qwen2.5-0.5B', revision: 'main' }],
    ['hf:owner/name@v1.0', { repository: 'owner/name', revision: 'v1.0' }],
    ['hf:owner/name@refs/pr/1', { repository: 'owner/name', revision: 'refs/pr/1' }],
    [`hf:owner/name@${COMMIT}`, { repository: 'owner/name', revision: COMMIT }],
    ['hf:owner/name/a b.Q4_K_M.gguf', { repository: 'owner/name', revision: 'main', file: 'a b.Q4_K_M.gguf' }],
    ['hf:owner/name@refs/pr/1/a.gguf', { repository: 'owner/name', revision: 'refs/pr/1', file: 'a.gguf' }],
  ])('%s is read into its parts', (text, parts) => expect(parseHubName(text)).toEqual(parts));

  test.each([
    'hf:',
    'hf:name',
    'hf:owner/',
    'hf:owner/name/config.json',
    'hf:owner/name/sub/a.gguf',
    'hf:owner/name@',
    'hf:owner/name@../x',
    'hf:owner/name@a/../../x',
    'hf:owner/name@/etc',
    'hf:owner/name@a//b',
    'hf:../../x',
    'hf:owner/..',
    'hf:own--er/name',
    'hf:owner/name?x=1',
    'hf:owner/na me',
    'hf:https://huggingface.co/owner/name',
  ])('%s is refused', (text) => expect(refusal(() => parseHubName(text))).toBe('hub_name'));

  test('other paths are none', () => {
    expect(['models/duo-mini', './hf:x', 'C:\\m', 'hf'].filter(isHubName)).toEqual([]);
  });

  test.each([
    [`/c/hub/models--owner--my-model/snapshots/${COMMIT}`, `hf:owner/my-model@${COMMIT}`],
    [`/c/hub/models--owner--my-model/snapshots/${COMMIT}/a.gguf`, `hf:owner/my-model@${COMMIT}/a.gguf`],
    [`/c/hub/models--owner--my-model/snapshots/main`, undefined],
    [`/c/models/${COMMIT}`, undefined],
    ['/c/duo-mini', undefined],
  ])('%s has the name %s', (path, name) => expect(hubNameOf(path)).toBe(name));

  test.each(['', '.', '..', '../a', 'a/b', '/a', 'a\\b', 'C:a', 'a\0b', 'a\nb', 'x'.repeat(256)])(
    'the file name %j leaves a folder',
    (name) => expect(isPlainName(name)).toBe(false),
  );
});
