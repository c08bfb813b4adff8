// A lock between processes: a file that only one can create, holding the owner's process id. A lock whose owner is no
// longer alive is taken over. For one machine; not for network disks.

import { open, readFile, rm, stat } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { RuntimeError } from '../errors.ts';

/** An owner writes its id at once; an empty lock older than this was left by one that died in between. */
const EMPTY_LOCK_MS = 5_000;

/** Runs `work` while holding the lock at `file`; waits at most `waitMs` for another owner. Throws `store` after that. */
export async function withLock<T>(file: string, work: () => Promise<T>, waitMs = 600_000): Promise<T> {
  const until = Date.now() + waitMs;
  while (!(await take(file))) {
    if (await abandoned(file)) {
      await rm(file, { force: true });
      continue;
    }
    if (Date.now() > until) {
      const owner = await readFile(file, 'utf8').catch(() => '?');
      throw new RuntimeError(
        'store',
        `process ${owner.trim()} still holds ${file} after ${Math.round(waitMs / 1000)} s; end it, or delete that file`,
      );
    }
    await sleep(100);
  }
  try {
    return await work();
  } finally {
    await rm(file, { force: true });
  }
}

async function take(file: string): Promise<boolean> {
  try {
    const handle = await open(file, 'wx');
    await handle.writeFile(`${process.pid}\n`);
    await handle.close();
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false;
    throw error;
  }
}

async function abandoned(file: string): Promise<boolean> {
  const text = await readFile(file, 'utf8').catch(() => null);
  if (text === null) return false;
  const pid = Number(text);
  if (!Number.isInteger(pid) || pid <= 0) {
    const made = await stat(file).catch(() => null);
    return made !== null && Date.now() - made.mtimeMs > EMPTY_LOCK_MS;
  }
  try {
    process.kill(pid, 0);
    return false;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'ESRCH';
  }
}
