/** What set-up has finished at a site, judged from stamps and file sizes alone: fast, and nothing is loaded. */
import { join } from 'node:path';
import { addonKey, addonPath, bindingAddon } from './compile.js';
import type { Addon } from './compile.js';
import { operationsAddon } from './operations.js';
import { besideSite, homeSite, isWhole } from './site.js';
import type { Site } from './site.js';
import { contentKey, filesIntact, readStamp } from './stamp.js';
import type { StepRecord } from './stamp.js';
import type { Environment } from './tools.js';

export interface SiteStatus {
  readonly site: Site;
  /** Whether npm's part is complete. */
  readonly whole: boolean;
  readonly library?: StepRecord | undefined;
  readonly binding?: StepRecord | undefined;
  /** Our operations for this version of the program. */
  readonly operations?: StepRecord | undefined;
  /** Set when this binding was loaded and passed the self-test. */
  readonly load?: StepRecord | undefined;
}

/** The record of a step, or of an addon by its path, when it was made from `key` and its files are intact. */
export function standing(site: Site, step: string, key?: string): StepRecord | undefined {
  const record = readStamp(site).steps[step];
  if (record === undefined || (key !== undefined && record.key !== key)) return undefined;
  return filesIntact(site, record) ? record : undefined;
}

/** Identity of a library: its origin and sizes. */
export function libraryKey(record: Omit<StepRecord, 'key'>): string {
  return contentKey([JSON.stringify([record.facts, record.files])], []);
}

/** The record of an addon built against `library`. Addons are recorded by path: each version of ours has its own. */
export function standingAddon(site: Site, addon: Addon, library: StepRecord): StepRecord | undefined {
  return standing(site, addonPath(addon), addonKey(addon, library.key));
}

export function siteStatus(site: Site): SiteStatus {
  if (!isWhole(site)) return { site, whole: false };
  const library = standing(site, 'libtensorflow');
  if (library === undefined) return { site, whole: true };
  const addon = operationsAddon();
  const binding = standingAddon(site, bindingAddon(site), library);
  return {
    site,
    whole: true,
    library,
    binding,
    operations: addon && standingAddon(site, addon, library),
    load: binding && standing(site, 'load', binding.key),
  };
}

/** The sites this copy of the program knows: beside it, and DUO_HOME. */
export function knownStatuses(environment: Environment): readonly SiteStatus[] {
  const beside = besideSite();
  return [...(beside === undefined ? [] : [beside]), homeSite(environment)].map(siteStatus);
}

/** The first site where TensorFlow is ready to load. */
export function readyStatus(environment: Environment): SiteStatus | undefined {
  return knownStatuses(environment).find((status) => status.load !== undefined);
}

/** Absolute path of our operations, when they are built for this version. */
export function operationsPath(status: SiteStatus): string | undefined {
  const [path] = Object.keys(status.operations?.files ?? {});
  return path === undefined ? undefined : join(status.site.packageDir, path);
}
