/** Child process of probe.ts: opens the device it is asked for, tests it, and sends what it found. */
import { openDevice, openTensorflowAt } from '../runtime.js';
import { selfTest } from '../selftest.js';
import type { ProbeQuestion, ProbeReply } from './probe.js';

async function answer({ device, files, threads }: ProbeQuestion): Promise<ProbeReply> {
  const warnings: string[] = [];
  const settings = { threads, environment: process.env, warn: ({ message }: { message: string }) => void warnings.push(message) };
  const startedMs = performance.now();
  const opened = files === undefined ? await openDevice({ device, ...settings }) : openTensorflowAt(files, settings);
  const loadMs = performance.now() - startedMs;
  const { description, kernels } = opened;
  const version = /TensorFlow (\S+)/.exec(description)?.[1];
  const facts = { description, kernels, warnings, loadMs, selfTest: selfTest(opened) };
  return { facts: version === undefined ? facts : { ...facts, tensorflow: version } };
}

async function main(): Promise<void> {
  let reply: ProbeReply;
  try {
    reply = await answer(JSON.parse(process.argv[2] ?? '') as ProbeQuestion);
  } catch (error) {
    reply = { failure: (error as Error).message };
  }
  process.send?.(reply, () => process.disconnect());
}

await main();
