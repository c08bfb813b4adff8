// Compiles a checkpoint directory on first use and keeps the result, under a name made of everything it depends on: the
// bytes of the checkpoint's files, the compiler's options and its version. Another process waits; nothing half-written
// is ever seen under the final name.

import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { readFile, readdir, rm, stat } from 'node:fs/promises';
import path from 'node:path';
import { MANIFEST_FILE, type CompileOptions } from '@baton/compiler';
import { compileDirectory } from '@baton/compiler/node';
import { RuntimeError } from '../errors.ts';
import { cacheRoot } from './cache-root.ts';
import { compilerIdentity } from './compiler-identity.ts';
import { withLock } from './lock.ts';
import { makeFolder } from './make-folder.ts';
import { writeWhole } from './write-whole.ts';

/** The folder of the compiled model for the checkpoint in `directory`; compiles it where there is none. */
export async function compiledDirectory(directory: string, options: CompileOptions = {}): Promise<string> {
  const root = path.join(cacheRoot(), 'compiled');
  tryFolder(root);
  const hash = createHash('sha256').update(
    JSON.stringify([await compilerIdentity(), sortedEntries(options)]),
  );
  for (const name of await checkpointFiles(directory))
    hash.update(`${name} ${await fileHash(path.join(directory, name))}\n`);
  const name = `${path.basename(path.resolve(directory))}-${hash.digest('hex').slice(0, 24)}`;
  const final = path.join(root, name);
  if (await isModel(final)) return final;
  return withLock(`${final}.lock`, async () => {
    if (await isModel(final)) return final;
    await sweep(root, name);
    // Appears under its name whole or not at all.
    await compileDirectory(directory, final, options);
    return final;
  });
}

/** Throws `store` where compiled models cannot be kept, which is met first by those who have no home, or one that is read-only. */
function tryFolder(root: string): void {
  try {
    makeFolder(root);
  } catch (cause) {
    throw new RuntimeError(
      'store',
      `compiled models cannot be kept in ${root} (${(cause as Error).message}); set BATON_CACHE to a folder that can be written`,
      { cause },
    );
  }
}

/** What a process left that was ended while it compiled this model; the lock says that none is at it now. */
async function sweep(root: string, name: string): Promise<void> {
  const left = (await readdir(root)).filter((one) => one.startsWith(`.${name}-`));
  await Promise.all(left.map((one) => rm(path.join(root, one), { recursive: true, force: true })));
}

export async function isModel(directory: string): Promise<boolean> {
  return (await stat(path.join(directory, MANIFEST_FILE)).catch(() => null))?.isFile() ?? false;
}

function sortedEntries(options: CompileOptions): [string, unknown][] {
  return Object.entries(options)
    .filter(([, value]) => typeof value !== 'function' && value !== undefined)
    .sort(([a], [b]) => (a < b ? -1 : 1));
}

async function checkpointFiles(directory: string): Promise<string[]> {
  const names = await readdir(directory);
  return names.filter((n) => /\.(json|jinja|safetensors)$/.test(n)).sort();
}

/** SHA-256 of a file, remembered by path, size and time so that a large checkpoint is read once and not at every start. */
async function fileHash(file: string): Promise<string> {
  const { size, mtimeMs } = await stat(file);
  const digest = async (): Promise<string> => {
    const hash = createHash('sha256');
    for await (const part of createReadStream(file)) hash.update(part as Buffer);
    return hash.digest('hex');
  };
  if (size < 1 << 20) return digest();
  const key = createHash('sha256')
    .update(`${path.resolve(file)} ${size} ${mtimeMs}`)
    .digest('hex');
  const memo = path.join(cacheRoot(), 'hashes', key);
  const known = await readFile(memo, 'utf8').catch(() => '');
  if (/^[0-9a-f]{64}$/.test(known)) return known;
  const fresh = await digest();
  try {
    makeFolder(path.dirname(memo));
    await writeWhole(memo, fresh);
  } catch {
    // A cache that can only be read may hold the model all the same; the file is read again next time.
  }
  return fresh;
}
