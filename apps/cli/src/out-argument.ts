// Where a command is to write, checked before anything is spent on what goes there. Folders on the way are made when it is
// written; the nearest one that exists must take them.
import { mkdtemp, rmdir, stat } from 'node:fs/promises';
import path from 'node:path';
import { UsageError } from './usage-error.ts';

/** Throws where `--out FILE` could not be written. */
export async function checkOutFile(file: string): Promise<void> {
  refuseEmpty(file);
  if (file.endsWith('/') || file.endsWith(path.sep))
    throw new Error(`--out ${file} is a folder; name a file`);
  const there = await stat(file).catch(() => null);
  if (there?.isDirectory()) throw new Error(`--out ${file} is a folder; name a file`);
  // A file is replaced as a whole, which would put one in the place of /dev/null.
  if (there && !there.isFile()) throw new Error(`--out ${file} is no plain file; name another`);
  await tryFolder(path.dirname(path.resolve(file)), file);
}

/** Throws where `--out FOLDER` could not be made or written into. */
export async function checkOutFolder(folder: string): Promise<void> {
  refuseEmpty(folder);
  const there = await stat(folder).catch(() => null);
  if (there && !there.isDirectory()) throw new Error(`--out ${folder} is a file; name a folder`);
  await tryFolder(path.resolve(folder), folder);
}

/** A variable that a script never set; as a path it would be the folder that the command runs in. */
function refuseEmpty(out: string): void {
  if (out.trim() === '') throw new UsageError('--out is empty; name a place');
}

/** In words, instead of the system's with the name of a folder that nobody typed. */
const WHY: Readonly<Record<string, string>> = {
  EACCES: 'there is no right to',
  ENOENT: 'it takes no files',
  ENOSPC: 'it is full',
  ENOTDIR: 'it is no folder',
  EPERM: 'it is not permitted',
  EROFS: 'it is read-only',
};

async function tryFolder(wanted: string, out: string): Promise<void> {
  let folder = wanted;
  while (!(await stat(folder).catch(() => null)) && path.dirname(folder) !== folder)
    folder = path.dirname(folder);
  try {
    // Rights alone do not say it: the file system may be full, read-only, or one like /proc that takes nothing.
    await rmdir(await mkdtemp(path.join(folder, '.baton-')));
  } catch (cause) {
    const { code, message } = cause as NodeJS.ErrnoException;
    const why = WHY[code ?? ''] ?? message;
    throw new Error(`--out ${out}: cannot write in ${folder} (${why}); choose another place`, { cause });
  }
}
