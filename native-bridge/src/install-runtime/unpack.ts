// Unpacks an archive into a folder that appears whole or not at all. Every entry is looked at before the first is
// written: an archive that reaches outside its folder, by path, by link or by device node, is refused as a whole.
import { existsSync } from 'node:fs';
import { mkdir, rename, rm } from 'node:fs/promises';
import path from 'node:path';
import * as tar from 'tar';

/** More than any OpenVINO release by far; less than fills a disk. */
const MOST_BYTES = 8 * 1024 ** 3;
const MOST_ENTRIES = 20_000;

/**
 * Unpacks `archive` (tar, gzip) as `folder`, replacing what was there only at the end. `required` names a file that must be
 * in it. Throws with one line; nothing of the archive stays then, and what was at `folder` does.
 */
export async function unpack(archive: string, folder: string, required: string): Promise<void> {
  await inspect(archive);
  const scratch = `${folder}.unfinished-${process.pid}`;
  const old = `${folder}.old-${process.pid}`;
  await rm(scratch, { recursive: true, force: true });
  await mkdir(scratch, { recursive: true });
  try {
    // Owners and modes beyond the executable bit are the archive's maker's business, not this machine's.
    await tar.extract({ file: archive, cwd: scratch, strict: true, preserveOwner: false, umask: 0o022 });
    if (!existsSync(path.join(scratch, required)))
      throw new Error(`the archive has no ${required}: it is not OpenVINO's binary for Node`);
    if (existsSync(folder)) await rename(folder, old);
    await rename(scratch, folder).catch(async (error: unknown) => {
      if (existsSync(old)) await rename(old, folder);
      throw error;
    });
  } catch (error) {
    throw readable(error);
  } finally {
    await rm(scratch, { recursive: true, force: true });
    await rm(old, { recursive: true, force: true });
  }
}

/** Reads the whole archive, so that one that is cut short is found as well. */
async function inspect(archive: string): Promise<void> {
  let bytes = 0;
  let entries = 0;
  let refused: string | null = null;
  try {
    await tar.list({
      file: archive,
      strict: true,
      onReadEntry: (entry) => {
        bytes += entry.size;
        entries++;
        refused ??= whyRefused(entry);
        if (bytes > MOST_BYTES || entries > MOST_ENTRIES)
          refused ??= 'it is far larger than any OpenVINO release';
      },
    });
  } catch (error) {
    throw readable(error);
  }
  if (refused !== null) throw new Error(`the archive is refused: ${refused}`);
  if (entries === 0) throw new Error('the archive is damaged: it is empty, or no tar archive');
}

function whyRefused({
  path: name,
  type,
  linkpath = '',
}: Pick<tar.ReadEntry, 'path' | 'type' | 'linkpath'>): string | null {
  if (!isInside(name)) return `it would write to ${name}, outside its folder`;
  switch (type) {
    case 'File':
    case 'OldFile':
    case 'ContiguousFile':
    case 'Directory':
      return null;
    case 'SymbolicLink':
      // Read from where the link lies.
      return leadsInside(path.posix.dirname(name), linkpath)
        ? null
        : `${name} is a link to ${linkpath}, outside its folder`;
    case 'Link':
      return isInside(linkpath) ? null : `${name} is a link to ${linkpath}, outside its folder`;
    default:
      return `${name} is a ${type}, which a library has no use for`;
  }
}

/** No absolute path in either system's manner, and no step upwards at all. */
function isInside(name: string): boolean {
  const parts = name.split(/[\\/]/);
  return name !== '' && parts[0] !== '' && !/^[a-z]:/i.test(name) && !parts.includes('..');
}

/** Steps upwards only at the beginning, where no other link can stand before them, and no more than there are folders. */
function leadsInside(from: string, goal: string): boolean {
  const up = /^(\.\.\/)*/.exec(goal)![0];
  const depth = from.split('/').filter((part) => part !== '.' && part !== '').length;
  return up.length / 3 <= depth && isInside(goal.slice(up.length));
}

function readable(error: unknown): Error {
  if (!(error instanceof Error)) return new Error(String(error));
  const code = (error as NodeJS.ErrnoException).code ?? '';
  if (
    code.startsWith('TAR_') ||
    code.startsWith('Z_') ||
    /zlib|gzip|truncated|unexpected end/i.test(error.message)
  )
    return new Error(`the archive is damaged: ${error.message}`, { cause: error });
  return error;
}
