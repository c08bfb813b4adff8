// A checkpoint on the Hugging Face Hub, by its id: listed and read by range through @huggingface/hub, so that a person can
// paste an id and run it.
import { downloadFile, listFiles } from '@huggingface/hub';
import { CompileError } from '../errors.ts';
import type { CheckpointSource } from '../files.ts';
import { blobSource, type NamedBlob } from './blob-source.ts';
import { FinalError, withRetries } from './retry.ts';

export interface HubSourceOptions {
  /** Branch, tag or commit. Default "main". */
  revision?: string;
  /** For gated and private models; sent to the hub only. */
  accessToken?: string;
  hubUrl?: string;
  fetch?: typeof fetch;
}

/** What a compilation may read; everything else in a repository is left alone. */
const WANTED = /^[^/]+\.(safetensors|json|jinja)$/;

/** Opens `id` ("owner/name"). Rejects with `source` when there is no such model, or no permission. */
export async function hubSource(id: string, options: HubSourceOptions = {}): Promise<CheckpointSource> {
  if (!/^[\w.-]+\/[\w.-]+$/.test(id)) {
    throw new CompileError('bad-option', `"${id}" is no Hugging Face id; ids look like owner/name`);
  }
  const where = { repo: { type: 'model', name: id } as const, ...options };
  const entries = await attempt(id, async () => {
    const found: { path: string; size: number }[] = [];
    for await (const entry of listFiles(where)) {
      if (entry.type === 'file' && WANTED.test(entry.path)) found.push(entry);
    }
    return found;
  });
  const opened = new Map<string, Promise<CheckpointSource>>();
  /** A lazily downloaded blob per file, opened when it is first read. */
  const open = (path: string): Promise<CheckpointSource> => {
    const known = opened.get(path);
    if (known) return known;
    const source = downloadFile({ ...where, path }).then((blob) => {
      if (!blob) throw new FinalError('not found');
      return blobSource(id, [{ name: path, blob } satisfies NamedBlob]);
    });
    opened.set(path, source);
    // The next try asks again.
    source.catch(() => opened.delete(path));
    return source;
  };
  const sizes = new Map(entries.map((e) => [e.path, e.size]));
  return {
    name: id,
    list: async () => [...sizes.keys()],
    size: async (path) =>
      sizes.get(path) ?? attempt(`${id}/${path}`, async () => (await open(path)).size(path)),
    read: (path, offset, length) =>
      attempt(`${id}/${path}`, async () => (await open(path)).read(path, offset, length)),
  };
}

async function attempt<T>(what: string, work: () => Promise<T>): Promise<T> {
  try {
    return await withRetries(async () => {
      try {
        return await work();
      } catch (error) {
        throw isFinal(error) ? new FinalError((error as Error).message, { cause: error }) : error;
      }
    });
  } catch (error) {
    const status = statusOf(error);
    const advice =
      status === 401 || status === 403
        ? '; accept its licence on huggingface.co and give an access token'
        : status === 404
          ? '; check the id and the revision'
          : '';
    throw new CompileError('source', `${what}: ${(error as Error).message}${advice}`, { cause: error });
  }
}

/** HTTP answers below 500, save "too many requests", do not change by asking again. */
function isFinal(error: unknown): boolean {
  const status = statusOf(error);
  return status !== undefined && status < 500 && status !== 429;
}

/** @huggingface/hub's HubApiError carries the HTTP status. */
function statusOf(error: unknown): number | undefined {
  const { statusCode, cause } = error as { statusCode?: unknown; cause?: unknown };
  if (typeof statusCode === 'number') return statusCode;
  return cause === undefined ? undefined : statusOf(cause);
}
