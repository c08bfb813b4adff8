// The folder an evaluation writes into: one trace file per arm, the settings that all runs in it share, and a lock so that
// two processes do not write the same files.

import { open, mkdir, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';

import { EvalError } from '../eval-error.ts';
import { writeFileWhole } from '../jsonl/index.ts';
import type { EvalSettings } from '../report/build-report.ts';

const SETTINGS_SCHEMA = 'baton.eval-settings/1';

export interface OutFolder {
  tracePath(arm: string): string;
  file(name: string): string;
  release(): Promise<void>;
}

/**
 * Opens (or creates) the folder for these settings. Throws EvalError when it holds runs made with other settings, or when
 * another living process uses it.
 */
export async function openOutFolder(dir: string, settings: EvalSettings): Promise<OutFolder> {
  await mkdir(dir, { recursive: true });
  const lock = join(dir, '.lock');
  await takeLock(lock, dir);
  try {
    await matchSettings(join(dir, 'settings.json'), dir, settings);
  } catch (error) {
    await rm(lock, { force: true });
    throw error;
  }
  return {
    tracePath: (arm) => join(dir, 'traces', `${armFileName(arm)}.jsonl`),
    file: (name) => join(dir, name),
    release: () => rm(lock, { force: true }),
  };
}

/** An arm's name as a file name: every character outside a-z, 0-9, ".", "-" becomes "_". */
export function armFileName(arm: string): string {
  return arm.toLowerCase().replace(/[^a-z0-9.-]+/g, '_');
}

async function matchSettings(path: string, dir: string, settings: EvalSettings): Promise<void> {
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
    return;
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
}

async function takeLock(lock: string, dir: string): Promise<void> {
  for (let attempt = 0; attempt < 2; attempt++) {
    try {
      const file = await open(lock, 'wx');
      await file.writeFile(`${process.pid}\n`);
      await file.close();
      return;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') {
        throw new EvalError(`${dir}: cannot be written (${(error as Error).message})`);
      }
      const owner = Number((await readFile(lock, 'utf8').catch(() => '')).trim());
      if (owner > 0 && isAlive(owner)) {
        throw new EvalError(`${dir} is in use by process ${owner}; wait for it, or choose another --out`);
      }
      // Its owner is gone: a crash left it behind.
      await rm(lock, { force: true });
    }
  }
  throw new EvalError(`${dir}: another process took the folder at the same moment; try again`);
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}
