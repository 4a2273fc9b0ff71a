import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { InputError } from '../../../src/errors.js';
import { hubSettings } from '../../../src/model/hub/settings.js';
import { refusal } from '../../helpers/refusal.js';
import { temporaryFolder } from '../../helpers/temporary.js';

const home = temporaryFolder();

describe('the settings of the hub', () => {
  test.each<[string, Readonly<Record<string, string>>, string]>([
    ['no variable', {}, `${home}/.cache/huggingface/hub`],
    ['XDG_CACHE_HOME', { XDG_CACHE_HOME: '/x' }, '/x/huggingface/hub'],
    ['HF_HOME', { XDG_CACHE_HOME: '/x', HF_HOME: '/h' }, '/h/hub'],
    ['HF_HOME with ~', { HF_HOME: '~/h' }, `${home}/h/hub`],
    ['HF_HUB_CACHE', { HF_HOME: '/h', HF_HUB_CACHE: '/c' }, '/c'],
    ['an empty HF_HUB_CACHE', { HF_HOME: '/h', HF_HUB_CACHE: '' }, '/h/hub'],
    ['the old name of HF_HUB_CACHE', { HUGGINGFACE_HUB_CACHE: '/c' }, '/c'],
  ])('with %s the cache is where other clients have it', (_case, environment, cache) =>
    expect(hubSettings({ HOME: home, ...environment }).cache).toBe(cache),
  );

  test.each([
    [undefined, 'https://huggingface.co'],
    ['', 'https://huggingface.co'],
    ['https://mirror.example/', 'https://mirror.example'],
    ['http://127.0.0.1:8080/hub/', 'http://127.0.0.1:8080/hub'],
  ])('HF_ENDPOINT %j is %s', (given, endpoint) => expect(hubSettings({ HOME: home, HF_ENDPOINT: given }).endpoint).toBe(endpoint));

  test.each(['mirror.example', 'ftp://mirror.example', 'file:///etc', 'https://a:b@mirror.example', 'https://mirror.example/?a=b'])(
    'HF_ENDPOINT %s is refused',
    (given) => expect(refusal(() => hubSettings({ HOME: home, HF_ENDPOINT: given }))).toBe('hub_endpoint'),
  );

  test.each([
    ['1', true],
    ['true', true],
    ['ON', true],
    ['0', false],
    ['', false],
    [undefined, false],
  ])('HF_HUB_OFFLINE=%j means offline: %s', (given, offline) =>
    expect(hubSettings({ HOME: home, HF_HUB_OFFLINE: given }).offline).toBe(offline),
  );

  test('the token is of HF_TOKEN, else of the file that a login leaves', () => {
    mkdirSync(join(home, 'login'));
    writeFileSync(join(home, 'login', 'token'), 'hf_file\n');
    const environment = { HOME: home, HF_HOME: join(home, 'login') };
    expect(hubSettings({ ...environment, HF_TOKEN: 'hf_given' }).token).toBe('hf_given');
    expect(hubSettings(environment).token).toBe('hf_file');
    expect(hubSettings({ HOME: home, HF_TOKEN_PATH: '~/login/token' }).token).toBe('hf_file');
    expect(hubSettings({ HOME: home }).token).toBeUndefined();
  });

  test('a token that would break out of its header is refused, and not shown', () => {
    const attempt = (): unknown => hubSettings({ HOME: home, HF_TOKEN: 'secret\r\nX-Evil: 1' });
    expect(refusal(attempt)).toBe('hub_token');
    expect(() => attempt()).toThrow(InputError);
    try {
      attempt();
    } catch (error) {
      expect(JSON.stringify([error, (error as InputError).message])).not.toContain('secret');
    }
  });
});
