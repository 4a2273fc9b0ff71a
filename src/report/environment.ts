/** Where a session ran, for env.json: facts that explain a time or a last digit. */
import { arch, cpus, platform, release, totalmem } from 'node:os';
import { TOOL } from '../version.js';

export interface SessionEnvironment {
  readonly tool: string;
  readonly startedAt: string;
  readonly node: string;
  readonly platform: string;
  readonly cpu: string;
  readonly cores: number;
  readonly memoryBytes: number;
  /** The device's own description. */
  readonly device: string;
  /** Threads asked for; absent: the device's default. */
  readonly threads?: number;
}

export function describeSession(device: string, threads?: number, now = new Date()): SessionEnvironment {
  const cores = cpus();
  return {
    tool: TOOL,
    startedAt: now.toISOString(),
    node: process.version,
    platform: `${platform()} ${release()} ${arch()}`,
    cpu: cores[0]?.model.trim() ?? 'unknown',
    cores: cores.length,
    memoryBytes: totalmem(),
    device,
    ...(threads === undefined ? {} : { threads }),
  };
}
