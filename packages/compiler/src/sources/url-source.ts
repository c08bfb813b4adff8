// A checkpoint in a folder of some web server, which cannot be listed: the files that a checkpoint may have are asked for by
// name, shards by the index. Weights come by HTTP range requests; a plain host that ignores ranges gives each file whole,
// once, and it is kept in memory.
import { CompileError } from '../errors.ts';
import type { CheckpointSource } from '../files.ts';
import { isPathInside } from '../path-inside.ts';
import { FinalError, withRetries } from './retry.ts';

/** Largest file that is taken whole: what one ArrayBuffer holds in every browser. */
const WHOLE_BYTES = 2 ** 30;

const INDEX = 'model.safetensors.index.json';
const NAMES = [
  'config.json',
  'generation_config.json',
  'tokenizer.json',
  'tokenizer_config.json',
  'special_tokens_map.json',
  'chat_template.jinja',
  'model.safetensors',
  INDEX,
];

export interface UrlSourceOptions {
  fetch?: typeof fetch;
  /** Sent with every request, e.g. an Authorization header. */
  headers?: Readonly<Record<string, string>>;
  signal?: AbortSignal;
}

/** `url` is the folder that holds config.json. Rejects with `source` or `missing` when there is no checkpoint. */
export async function urlSource(url: string, options: UrlSourceOptions = {}): Promise<CheckpointSource> {
  const base = url.replace(/\/*$/, '/');
  const request = requester(base, options);
  const sizes = new Map<string, number>();
  const look = async (name: string) => {
    const size = await request.size(name);
    if (size !== null) sizes.set(name, size);
  };
  await Promise.all(NAMES.map(look));
  if (sizes.has(INDEX)) {
    const text = new TextDecoder().decode(await request.read(INDEX, 0, sizes.get(INDEX)!));
    await Promise.all(shardNames(text).map(look));
  }
  if (!sizes.has('config.json')) {
    throw new CompileError(
      'missing',
      `${url}: no config.json there; give the address of the folder that holds it`,
    );
  }
  return {
    name: base.slice(0, -1),
    list: async () => [...sizes.keys()],
    async size(path) {
      const size = sizes.get(path) ?? (await request.size(path));
      if (size === null) throw new CompileError('missing', `${base}${path}: not found`);
      return size;
    },
    read: (path, offset, length) => request.read(path, offset, length),
  };
}

/**
 * Only names of files inside this folder: an index is somebody's text, and an address in it would be asked with the caller's
 * headers. What is left out, and a damaged index, is reported by the checkpoint reader, in its words.
 */
function shardNames(index: string): string[] {
  try {
    const names = Object.values((JSON.parse(index) as { weight_map: Record<string, unknown> }).weight_map);
    return [...new Set(names)].filter((name) => typeof name === 'string' && isPathInside(name)) as string[];
  } catch {
    return [];
  }
}

function requester(base: string, options: UrlSourceOptions) {
  const get = options.fetch ?? fetch;
  const whole = new Map<string, Uint8Array>();
  const send = async (path: string, range: string) => {
    const headers = { ...options.headers, range };
    const response = await get(new URL(path, base), {
      headers,
      // A gigabyte that is read once must not push everything else out of the browser's cache.
      cache: 'no-store',
      ...(options.signal ? { signal: options.signal } : {}),
    });
    if (response.ok || response.status === 416) return response;
    await response.body?.cancel();
    if (response.status === 404) return null;
    const message = `HTTP ${response.status} ${response.statusText}`.trim();
    throw response.status < 500 && response.status !== 429 ? new FinalError(message) : new Error(message);
  };
  const attempt = async <T>(path: string, work: () => Promise<T>): Promise<T> => {
    try {
      return await withRetries(work, options.signal);
    } catch (cause) {
      options.signal?.throwIfAborted();
      if (cause instanceof CompileError) throw cause;
      throw new CompileError('source', `${base}${path}: ${(cause as Error).message}`, { cause });
    }
  };
  /** The answer to a range request that came without a range. */
  const keepWhole = async (path: string, response: Response): Promise<Uint8Array> => {
    if (Number(response.headers.get('content-length')) > WHOLE_BYTES) {
      await response.body?.cancel();
      throw new FinalError(
        'the server does not answer range requests, and the file is too large to be fetched whole',
      );
    }
    const bytes = await bodyOf(response);
    whole.set(path, bytes);
    return bytes;
  };
  return {
    /** Bytes of a file, or null where it does not exist. */
    size: (path: string): Promise<number | null> =>
      attempt(path, async () => {
        const response = await send(path, 'bytes=0-0');
        if (!response) return null;
        if (response.status === 200) return (await keepWhole(path, response)).length;
        await response.body?.cancel();
        const size = Number(response.headers.get('content-range')?.split('/')[1]);
        if (Number.isSafeInteger(size)) return size;
        throw new FinalError('the server does not say how long the file is');
      }),
    read: (path: string, offset: number, length: number): Promise<Uint8Array> => {
      if (length === 0) return Promise.resolve(new Uint8Array());
      const kept = whole.get(path);
      if (kept) return Promise.resolve(slice(kept, offset, length));
      return attempt(path, async () => {
        const response = await send(path, `bytes=${offset}-${offset + length - 1}`);
        if (!response) throw new FinalError('not found');
        if (response.status === 206) return exactly(await bodyOf(response), length);
        return slice(await keepWhole(path, response), offset, length);
      });
    },
  };
}

/**
 * By way of a Blob, which Chromium gathers outside the worker: `arrayBuffer` wakes the worker for every piece of a slab, and
 * the whole compilation waits for it (tests/bench/compile-in-browser.ts measures that).
 */
async function bodyOf(response: Response): Promise<Uint8Array> {
  return new Uint8Array(await (await response.blob()).arrayBuffer());
}

function exactly(bytes: Uint8Array, length: number): Uint8Array {
  if (bytes.length === length) return bytes;
  throw new Error(`${bytes.length} bytes came instead of ${length}`);
}

function slice(bytes: Uint8Array, offset: number, length: number): Uint8Array {
  if (offset + length <= bytes.length) return bytes.slice(offset, offset + length);
  throw new FinalError(`it ends at byte ${bytes.length}, ${offset + length - bytes.length} too early`);
}
