import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { writeCardPattern } from '../../helpers/card-pattern.js';
import { duo, resultOf } from '../../helpers/terminal.js';
import { temporaryFolder } from '../../helpers/temporary.js';

const folder = temporaryFolder();
const pattern = writeCardPattern(folder);
const fact = 'The sea was calm. One of the special magic numbers for lazy-otter is: 4821930. We sailed on.';
const question = 'What is the special magic number for lazy-otter mentioned in the provided text?';
const prompt = `${fact}\n${question} The special magic number for lazy-otter mentioned in the provided text is`;
const short = ['run', '--pattern', pattern, '--max-new-tokens', '12', '--prompt'];

interface Shown {
  readonly title: string;
  readonly text: string;
  readonly ids: number[];
  readonly endedBy: string;
  readonly cacheBytes: number;
}

async function completionsOf(words: readonly string[]): Promise<Shown[]> {
  return resultOf(await duo([...words, '--format', 'json']))['completions'] as Shown[];
}

test('the completion goes to stdout and ends at the end token; speed and bytes go to stderr', async () => {
  const ran = await duo([...short, prompt]);
  expect(ran).toMatchObject({ exitCode: 0, stdout: ' 4821930.\n' });
  expect(ran.stderr).toMatch(/pattern 50 %: prompt of \d+ tokens at .*ended by end token; cache \d+ KiB/);
});

test('a file serves as the prompt', async () => {
  const file = join(folder, 'prompt.txt');
  writeFileSync(file, prompt);
  expect((await duo([...short, file])).stdout).toBe(' 4821930.\n');
});

test('--compare puts the dense model beside, with its larger cache', async () => {
  const [hybrid, dense] = await completionsOf([...short, prompt, '--compare']);
  expect([hybrid?.title, dense?.title]).toEqual(['pattern 50 %', 'dense']);
  expect(hybrid?.ids).toEqual(dense?.ids);
  expect(hybrid?.cacheBytes).toBeLessThan(dense?.cacheBytes ?? 0);
});

test('--max-new-tokens is exact, and --stop cuts before its text', async () => {
  const [cut] = await completionsOf(['run', '--pattern', pattern, '--max-new-tokens', '3', '--prompt', prompt]);
  expect(cut).toMatchObject({ endedBy: 'length' });
  expect(cut?.ids).toHaveLength(3);
  const [stopped] = await completionsOf([...short, prompt, '--stop', '19']);
  expect(stopped).toMatchObject({ text: ' 482', endedBy: 'stop text' });
});

test.each([
  ['no prompt', ['run', '--pattern', pattern], /no prompt was given/],
  ['no pattern', ['run', '--prompt', 'x'], /no pattern was given/],
  ['several cuts', [...short, 'x', '--retrieval-ratio', '0.5,0.25'], /several cuts/],
  ['more tokens than the model has positions', [...short, 'x', '--max-new-tokens', '8192'], /longer than the model/],
  ['a chat template the tokenizer has not', [...short, 'x', '--chat-template'], /no chat template/],
])('%s exits with 2', async (_what, words, message) => {
  const ran = await duo(words);
  expect(ran.stderr).toMatch(message);
  expect(ran.exitCode).toBe(2);
});

test('Ctrl-C while decoding keeps what was printed and exits with 130', async () => {
  const stop = new AbortController();
  const words = ['run', '--pattern', pattern, '--max-new-tokens', '4000', '--prompt', 'The old man'];
  const ran = await duo(words, { signal: stop.signal, onStdout: () => stop.abort() });
  expect(ran.exitCode).toBe(130);
  expect(ran.stdout).toMatch(/^.+\n$/);
  expect(ran.stderr).toMatch(/ended by interrupt/);
});
