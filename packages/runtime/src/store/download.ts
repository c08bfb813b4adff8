// Downloads one file by ranges into a StoreFolder: goes on where an earlier try ended, checks length and SHA-256, and
// leaves either a file that is right or a part that the next try continues. A part with the wrong hash is removed.

import { createSHA256 } from 'hash-wasm';
import { RuntimeError, isAbort, messageOf, throwIfAborted } from '../errors.ts';
import type { StoreFolder } from './folder.ts';
import { PATIENCE_MS, withPatience, type Wait } from './patience.ts';

export interface RemoteFile {
  url: string;
  path: string;
  bytes: number;
  /** Lower-case hex. */
  sha256: string;
}

export interface DownloadOptions {
  signal?: AbortSignal | undefined;
  /** Called with the number of bytes that were just added (found in an earlier part: once, with all of them). */
  onBytes?: (bytes: number) => void;
  /** Tries after a broken connection, each going on where the last one ended. Default 4. */
  retries?: number;
  /** Pause before the first retry, doubled for each further one. Default 500 ms. */
  pauseMs?: number;
  /** How long a server may say nothing before the connection counts as broken. Default 30 000 ms. */
  patienceMs?: number;
}

/** Pieces in which an earlier part is read again for its hash. */
const READ_BYTES = 4 << 20;

/** A download that has not ended, under its file's name with this ending. */
export const PART = '.part';

/** Leaves the checked file at `file.path`. Throws `store` (network, hash, full disk) or AbortError. */
export async function downloadFile(
  folder: StoreFolder,
  file: RemoteFile,
  options: DownloadOptions = {},
): Promise<void> {
  const part = file.path + PART;
  const hash = await createSHA256();
  hash.init();
  let done = await resume(folder, part, file.bytes, (bytes) => hash.update(bytes));
  options.onBytes?.(done);
  const { retries = 4, pauseMs = 500 } = options;
  const writer = await folder.append(part, done);
  try {
    for (let attempt = 0; done < file.bytes;) {
      throwIfAborted(options.signal);
      const before = done;
      try {
        await fetchFrom(file, done, options, async (bytes) => {
          await writer.write(bytes);
          hash.update(bytes);
          done += bytes.length;
          options.onBytes?.(bytes.length);
        });
        if (done < file.bytes) throw new Error(`the connection ended at byte ${done} of ${file.bytes}`);
      } catch (error) {
        if (isAbort(error) || error instanceof RuntimeError || isQuota(error)) throw error;
        // Progress earns new tries: a connection that breaks every 100 MB must not end a download of 3 GB.
        if (done > before) attempt = 0;
        if (++attempt > retries)
          throw new RuntimeError(
            'store',
            `${file.url}: ${messageOf(error)}; what arrived is kept, try again to go on`,
            { cause: error },
          );
        await pause(pauseMs * 2 ** (attempt - 1), options.signal);
      }
    }
  } catch (error) {
    if (isQuota(error))
      throw new RuntimeError(
        'store',
        `no space left for ${file.path} (${file.bytes} bytes); free some space and try again to go on`,
        { cause: error },
      );
    throw error;
  } finally {
    await writer.close();
  }
  const digest = hash.digest('hex');
  if (digest !== file.sha256) {
    await folder.remove(part);
    throw new RuntimeError(
      'store',
      `${file.url}: SHA-256 is ${digest}, ${file.sha256} was expected; the download was thrown away`,
    );
  }
  await folder.rename(part, file.path);
}

/** Takes in what an earlier try left; a part longer than the file is of another version and is dropped. */
async function resume(
  folder: StoreFolder,
  part: string,
  bytes: number,
  take: (bytes: Uint8Array) => void,
): Promise<number> {
  const size = (await folder.size(part)) ?? 0;
  if (size > bytes) {
    await folder.remove(part);
    return 0;
  }
  for (let at = 0; at < size; at += READ_BYTES)
    take(await folder.read(part, at, Math.min(READ_BYTES, size - at)));
  return size;
}

async function fetchFrom(
  file: RemoteFile,
  from: number,
  { signal, patienceMs = PATIENCE_MS }: DownloadOptions,
  take: (bytes: Uint8Array) => Promise<void>,
): Promise<void> {
  await withPatience(patienceMs, signal, (signal, wait) => fetchUnder(signal, wait, file, from, take));
}

async function fetchUnder(
  signal: AbortSignal,
  wait: Wait,
  file: RemoteFile,
  from: number,
  take: (bytes: Uint8Array) => Promise<void>,
): Promise<void> {
  const headers: HeadersInit = from > 0 ? { Range: `bytes=${from}-` } : {};
  // Kept here, it need not push everything else out of the browser's cache, whose parts would also come back as requests of their own.
  const response = await wait(fetch(file.url, { headers, signal, cache: 'no-store' }));
  if (!response.ok || !response.body) {
    const status = `${file.url} answered ${response.status}`;
    // Asking again will not help with these; a server that is busy or broken may recover.
    if (response.status >= 400 && response.status < 500 && response.status !== 429 && response.status !== 408)
      throw new RuntimeError('store', `${status}; check the address`);
    throw new Error(status);
  }
  // 200 to a ranged request: the whole file comes, so what is here already is passed over.
  let skip = response.status === 206 ? 0 : from;
  let room = file.bytes - from;
  const reader = response.body.getReader();
  for (;;) {
    const { value: chunk, done } = await wait(reader.read());
    if (done) return;
    const fresh = skip >= chunk.length ? chunk.subarray(chunk.length) : chunk.subarray(skip);
    skip = Math.max(0, skip - chunk.length);
    if (fresh.length > room)
      throw new RuntimeError(
        'store',
        `${file.url} is longer than the ${file.bytes} bytes that baton.json lists; it is another version`,
      );
    room -= fresh.length;
    if (fresh.length > 0) await take(fresh);
  }
}

function isQuota(error: unknown): boolean {
  if (!(error instanceof Error)) return false;
  return error.name === 'QuotaExceededError' || (error as { code?: unknown }).code === 'ENOSPC';
}

function pause(ms: number, signal: AbortSignal | undefined): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const timer = setTimeout(resolve, ms);
  const stop = (): void => reject(new DOMException('the download was cancelled', 'AbortError'));
  signal?.addEventListener('abort', stop);
  return promise.finally(() => {
    clearTimeout(timer);
    signal?.removeEventListener('abort', stop);
  });
}
