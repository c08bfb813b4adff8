// Downloads one large file so that an interruption costs only what was lost on the way: what has come is kept beside the
// goal with the server's own mark of the file's version, and the next try asks for the rest of just that version.
import { createWriteStream } from 'node:fs';
import { mkdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { Readable, Transform } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import type { ReadableStream } from 'node:stream/web';
import { reason, type Connection } from './http.ts';

/** Bytes so far, of how many (null: the server does not say). */
export type DownloadProgress = (done: number, total: number | null) => void;

/** Downloads `url` to `file`. Throws with one line; what came until then waits in `file`.partial for the next call. */
export async function download(
  http: Connection,
  url: string,
  file: string,
  onProgress: DownloadProgress = () => undefined,
): Promise<void> {
  const marker = `${file}.version`;
  await mkdir(path.dirname(file), { recursive: true });
  const known = await readFile(marker, 'utf8').catch(() => null);
  const have = known === null ? 0 : ((await stat(file).catch(() => null))?.size ?? 0);
  const response = await http.get(
    url,
    have > 0 ? { range: `bytes=${have}-`, 'if-range': known! } : {},
    // 416: all of it is here already.
    have > 0 ? [200, 206, 416] : [200],
  );
  if (response.status === 416) {
    await response.body?.cancel();
    // Ask again without the part: it is whole, or it is not of this file.
    await rm(marker, { force: true });
    return download(http, url, file, onProgress);
  }
  const resumed = response.status === 206;
  const length = Number(response.headers.get('content-length') ?? NaN);
  const start = resumed ? have : 0;
  const total = Number.isFinite(length) ? start + length : null;
  // Without a strong mark nothing can be resumed.
  const version = response.headers.get('etag') ?? response.headers.get('last-modified');
  if (version !== null && !version.startsWith('W/')) await writeFile(marker, version);
  else await rm(marker, { force: true });
  let done = start;
  const count = new Transform({
    transform(part: Buffer, _encoding, next) {
      done += part.length;
      onProgress(done, total);
      next(null, part);
    },
  });
  try {
    const body = Readable.fromWeb(response.body as ReadableStream<Uint8Array>);
    await pipeline(body, count, createWriteStream(file, { flags: resumed ? 'a' : 'w' }));
  } catch (error) {
    throw cut(done, total, version !== null, reason(error), error);
  }
  if (total !== null && done !== total) throw cut(done, total, version !== null, 'the connection ended');
  await rm(marker, { force: true });
}

function cut(done: number, total: number | null, resumable: boolean, why: string, cause?: unknown): Error {
  const of = total === null ? '' : ` of ${total}`;
  const again = resumable ? 'run it again to go on from there' : 'run it again';
  return new Error(`the download broke off after ${done}${of} bytes (${why}); ${again}`, { cause });
}
