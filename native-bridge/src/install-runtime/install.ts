// Brings OpenVINO's binary into the person's own folder: from the project's server or from a file, checked before it is
// unpacked. Asked for and never done on its own: openvino-node's install script, which would do it, is denied by default.
import { existsSync, readdirSync } from 'node:fs';
import { mkdir, rm, stat, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { ADDON_FILE, openvinoPackage, runtimeFolder, userRuntimeFolder } from '../openvino/runtime-folder.ts';
import { archiveUrl } from './archive-url.ts';
import { checksumBeside, publishedChecksum, verify, type Expected } from './checksum.ts';
import { download, type DownloadProgress } from './download.ts';
import { connection } from './http.ts';
import { unpack } from './unpack.ts';

export interface InstallOptions {
  /** Archive on this machine: nothing is fetched then. */
  archive?: string | undefined;
  /** Another place to fetch it from. */
  url?: string | undefined;
  /** What the archive's SHA-256 has to be. */
  sha256?: string | undefined;
  /** Install over what is there. */
  force?: boolean | undefined;
  onProgress?: DownloadProgress;
}

export interface Installed {
  version: string;
  folder: string;
  /** False: it was there already. */
  changed: boolean;
  /** Of the archive; null where nothing was done. */
  sha256: string | null;
  /** Against what it was checked. "none": nothing is published beside the archive, and nothing was given. */
  checksum: 'given' | 'published' | 'none' | null;
}

/** Throws with one line that says what failed and what to do; the runtime that was there stays then. */
export async function installRuntime(options: InstallOptions): Promise<Installed> {
  const found = openvinoPackage();
  if (found === null)
    throw new Error('the package openvino-node is not installed; install it with npm first');
  const { version } = found;
  const there = runtimeFolder(found);
  if (there !== null && !options.force)
    return { version, folder: there, changed: false, sha256: null, checksum: null };
  const folder = userRuntimeFolder(version);
  await sweep(folder);
  const given: Expected | null =
    options.sha256 === undefined ? null : { sha256: options.sha256, source: 'given' };
  const { file, expected } = options.archive
    ? await local(options.archive, given)
    : await fetched(options.url ?? archiveUrl(found), folder, given, options.onProgress);
  try {
    const sha256 = await verify(file, expected);
    await unpack(file, folder, ADDON_FILE);
    const checksum = expected?.source ?? 'none';
    await writeFile(
      path.join(folder, 'installed.json'),
      `${JSON.stringify({ version, sha256, checksum })}\n`,
    );
    return { version, folder, changed: true, sha256, checksum };
  } finally {
    // A download that came whole has done its service, or is the wrong one.
    if (!options.archive) await rm(file, { force: true });
  }
}

/** Removes the person's own runtimes, all versions. Gives their folders. */
export async function removeRuntimes(): Promise<string[]> {
  const root = path.dirname(userRuntimeFolder('any'));
  const names = existsSync(root) ? readdirSync(root) : [];
  await rm(root, { recursive: true, force: true });
  return names.map((name) => path.join(root, name));
}

interface Source {
  file: string;
  expected: Expected | null;
}

async function local(archive: string, given: Expected | null): Promise<Source> {
  const file = path.resolve(archive);
  if (!(await stat(file).catch(() => null))?.isFile()) throw new Error(`--archive ${archive}: no such file`);
  return { file, expected: given ?? (await checksumBeside(file)) };
}

async function fetched(
  url: string,
  folder: string,
  given: Expected | null,
  onProgress: DownloadProgress | undefined,
): Promise<Source> {
  const { protocol, pathname } = parse(url);
  if (protocol !== 'https:' && given === null)
    throw new Error(`${url} is not https: anybody on the way could change it; give its --sha256`);
  const http = connection();
  try {
    const file = path.join(path.dirname(folder), 'downloads', path.posix.basename(pathname) || 'archive');
    // First, for it is cheap and may say that there is nothing.
    const expected = given ?? (await publishedChecksum(http, url));
    await download(http, url, file, onProgress);
    return { file, expected };
  } finally {
    await http.close();
  }
}

function parse(url: string): URL {
  const parsed = URL.canParse(url) ? new URL(url) : null;
  if (parsed === null || !['https:', 'http:'].includes(parsed.protocol))
    throw new Error(`--url ${url}: an https address is needed`);
  return parsed;
}

/** Removes what killed installations left beside `folder`. */
async function sweep(folder: string): Promise<void> {
  const root = path.dirname(folder);
  await mkdir(root, { recursive: true });
  for (const name of readdirSync(root))
    if (/\.(unfinished|old)-\d+$/.test(name))
      await rm(path.join(root, name), { recursive: true, force: true });
}
