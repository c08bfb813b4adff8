// The folder an evaluation writes into: one trace file per arm, the settings that all runs in it share, and a lock so that
// two processes do not write the same files.

import { readFile, readdir, rm, rmdir, stat } from 'node:fs/promises';
import { join } from 'node:path';

import { RuntimeError } from '@baton/runtime/errors';
import { withLock } from '@baton/runtime/node';

import { EvalError } from '../eval-error.ts';
import { makeFolder, writeFileWhole } from '../jsonl/index.ts';
import type { EvalSettings } from '../report/build-report.ts';

const SETTINGS_SCHEMA = 'baton.eval-settings/1';

export interface OutFolder {
  tracePath(arm: string): string;
  file(name: string): string;
}

/** A second call on the same folder is told so at once, not kept waiting for hours. */
const LOCK_WAIT_MS = 1_000;

/**
 * Runs `work` in the folder for these settings, which is created where it is missing. Throws EvalError when it holds runs
 * made with other settings, or when another living process uses it.
 */
export async function withOutFolder<T>(
  dir: string,
  settings: EvalSettings,
  work: (folder: OutFolder) => Promise<T>,
): Promise<T> {
  const created = await makeFolder(dir);
  const traces = join(dir, 'traces');
  let held = false;
  const locked = async (): Promise<T> => {
    held = true;
    const first = await matchSettings(join(dir, 'settings.json'), dir, settings);
    try {
      return await work({
        tracePath: (arm) => join(traces, `${armFileName(arm)}.jsonl`),
        file: (name) => join(dir, name),
      });
    } catch (error) {
      if (first) await forgetUnused(dir, traces);
      throw error;
    }
  };
  try {
    return await withLock(join(dir, '.lock'), locked, LOCK_WAIT_MS);
  } catch (error) {
    // Only those that nothing was put into.
    for (const folder of created.reverse()) await rmdir(folder).catch(() => undefined);
    if (held) throw error;
    const { message } = error as Error;
    throw new EvalError(
      error instanceof RuntimeError
        ? `${dir} is in use: ${message}, or choose another --out`
        : `${dir}: cannot be written (${message})`,
    );
  }
}

/** Takes back what a call began that ended before its first run; with a run in it everything stays. */
async function forgetUnused(dir: string, traces: string): Promise<void> {
  const files = (await readdir(traces).catch(() => [])).map((name) => join(traces, name));
  const sizes = await Promise.all(files.map(async (file) => (await stat(file)).size));
  if (sizes.some((size) => size > 0)) return;
  await Promise.all(files.map((file) => rm(file)));
  await rmdir(traces).catch(() => undefined);
  await rm(join(dir, 'settings.json'), { force: true });
}

/** An arm's name as a file name: every character outside a-z, 0-9, ".", "-" becomes "_". */
export function armFileName(arm: string): string {
  return arm.toLowerCase().replace(/[^a-z0-9.-]+/g, '_');
}

/** Resolves with whether this call is the folder's first. */
async function matchSettings(path: string, dir: string, settings: EvalSettings): Promise<boolean> {
  let stored: Record<string, unknown>;
  try {
    stored = JSON.parse(await readFile(path, 'utf8')) as Record<string, unknown>;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') {
      throw new EvalError(
        `${path}: cannot be read (${(error as Error).message}); remove it or choose another --out`,
      );
    }
    await writeFileWhole(path, `${JSON.stringify({ schema: SETTINGS_SCHEMA, ...settings }, null, 2)}\n`);
    return true;
  }
  for (const [name, value] of Object.entries(settings)) {
    const known = stored[name];
    // A model that no policy of one call needs is not named by it: such a call fits any model.
    if ((name === 'small' || name === 'large') && (known === null || value === null)) continue;
    if (JSON.stringify(known) === JSON.stringify(value)) continue;
    throw new EvalError(
      `${dir} holds runs with ${name} = ${JSON.stringify(known)}, this call has ${JSON.stringify(value)}; choose another --out, or the same settings to go on`,
    );
  }
  const merged = {
    ...stored,
    small: stored['small'] ?? settings.small,
    large: stored['large'] ?? settings.large,
  };
  if (merged.small !== stored['small'] || merged.large !== stored['large']) {
    await writeFileWhole(path, `${JSON.stringify(merged, null, 2)}\n`);
  }
  return false;
}
