// A lock between processes: a file that only one can create, holding the owner's process id. A lock whose owner is no
// longer alive is removed, by one process at a time: of two that both found it dead, the second would otherwise remove
// what the first has put there since. For one machine; not for network disks.

import { open, readFile, rm, stat, type FileHandle } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { RuntimeError } from '../errors.ts';
import { alive } from './process-alive.ts';

/** An owner writes its id at once; an empty lock older than this was left by one that died in between. */
const EMPTY_LOCK_MS = 5_000;

/** Runs `work` while holding the lock at `file`; waits at most `waitMs` for another owner. Throws `store` after that. */
export async function withLock<T>(file: string, work: () => Promise<T>, waitMs = 600_000): Promise<T> {
  const until = Date.now() + waitMs;
  while (!(await take(file))) {
    if ((await abandoned(file)) && (await removeAbandoned(file))) continue;
    if (Date.now() > until) {
      const owner = await readFile(file, 'utf8').catch(() => '?');
      throw new RuntimeError(
        'store',
        `${owner.trim() === '' ? 'another process' : `process ${owner.trim()}`} still holds ${file} after ${Math.round(waitMs / 1000)} s; end it, or delete that file`,
      );
    }
    await sleep(100);
  }
  try {
    return await work();
  } finally {
    // Somebody may have deleted it, and another taken it.
    if ((await readFile(file, 'utf8').catch(() => '')) === OWN) await rm(file, { force: true });
  }
}

const OWN = `${process.pid}\n`;

async function take(file: string): Promise<boolean> {
  let handle: FileHandle;
  try {
    handle = await open(file, 'wx');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false;
    throw error;
  }
  try {
    await handle.writeFile(OWN);
    return true;
  } catch (error) {
    await rm(file, { force: true });
    throw error;
  } finally {
    await handle.close();
  }
}

/** False where another process is at it. */
async function removeAbandoned(file: string): Promise<boolean> {
  const turn = `${file}.lock`;
  if (!(await take(turn))) {
    // Held for a few milliseconds; one that stays was left by a process that died just then.
    if (await abandoned(turn)) await rm(turn, { force: true });
    return false;
  }
  try {
    if (await abandoned(file)) await rm(file, { force: true });
  } finally {
    await rm(turn, { force: true });
  }
  return true;
}

async function abandoned(file: string): Promise<boolean> {
  const text = await readFile(file, 'utf8').catch(() => null);
  if (text === null) return false;
  const pid = Number(text);
  if (!Number.isInteger(pid) || pid <= 0) {
    const made = await stat(file).catch(() => null);
    return made !== null && Date.now() - made.mtimeMs > EMPTY_LOCK_MS;
  }
  return !alive(pid);
}
