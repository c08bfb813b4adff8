// A compiled model's files behind a URL, fetched whole or by range. For models that are served next to the page; the
// model store (store/) keeps larger ones. Small pieces (norms, scales, a token's row of the embedding) share requests: one for
// each would be hundreds of round trips at opening and one or two for every token afterwards.

import type { ModelFiles } from '@baton/compiler';
import { RuntimeError } from '../errors.ts';

/** Pieces below this come with the block they lie in. */
const BLOCK_BYTES = 64 << 10;
/** 8 MB of them: what a conversation's words need of most vocabularies. */
const MOST_BLOCKS = 128;

/** `base` is the address of the folder that holds baton.json. */
export function urlFiles(base: string): ModelFiles {
  const root = base.endsWith('/') ? base : `${base}/`;
  const address = (path: string): string => new URL(path, root).href;
  /** Files of a server that ignores ranges: it sends all of them every time, once is enough. */
  const whole = new Map<string, Promise<Uint8Array>>();
  /** By path and number, those that were used last at the end. */
  const blocks = new Map<string, Promise<Uint8Array>>();

  const fetchRange = async (path: string, offset: number, length: number): Promise<Uint8Array> => {
    const known = await whole.get(path);
    if (known) return known.subarray(offset, offset + length);
    const range = `bytes=${offset}-${offset + length - 1}`;
    const response = await get(address(path), { headers: { Range: range } });
    if (response.status !== 200) return new Uint8Array(await response.arrayBuffer());
    const underWay = whole.get(path);
    if (underWay) await response.body?.cancel();
    const bytes = underWay ?? response.arrayBuffer().then((all) => new Uint8Array(all));
    whole.set(path, bytes);
    bytes.catch(() => whole.delete(path));
    return (await bytes).subarray(offset, offset + length);
  };
  const block = (path: string, number: number): Promise<Uint8Array> => {
    const key = `${number} ${path}`;
    const bytes = blocks.get(key) ?? fetchRange(path, number * BLOCK_BYTES, BLOCK_BYTES);
    blocks.delete(key);
    blocks.set(key, bytes);
    bytes.catch(() => blocks.delete(key));
    if (blocks.size > MOST_BLOCKS) blocks.delete(blocks.keys().next().value!);
    return bytes;
  };
  const fromBlocks = async (path: string, offset: number, length: number): Promise<Uint8Array> => {
    const first = Math.floor(offset / BLOCK_BYTES);
    const last = Math.floor((offset + length - 1) / BLOCK_BYTES);
    const parts = await Promise.all([...new Set([first, last])].map((number) => block(path, number)));
    const bytes = new Uint8Array(length);
    let at = 0;
    for (const [i, part] of parts.entries()) {
      const from = i === 0 ? offset - first * BLOCK_BYTES : 0;
      const piece = part.subarray(from, from + length - at);
      bytes.set(piece, at);
      at += piece.length;
    }
    return bytes.subarray(0, at);
  };
  return {
    read: async (path, offset, length) => {
      if (offset === undefined || length === undefined) {
        const response = await get(address(path), {});
        return new Uint8Array(await response.arrayBuffer());
      }
      if (length === 0) return new Uint8Array();
      const read = length < BLOCK_BYTES ? fromBlocks : fetchRange;
      const bytes = await read(path, offset, length);
      if (bytes.length === length) return bytes;
      throw new RuntimeError(
        'bad-model',
        `${address(path)} gave ${bytes.length} of ${length} bytes from ${offset}`,
      );
    },
    size: async (path) => {
      const response = await get(address(path), { method: 'HEAD' });
      const length = response.headers.get('content-length');
      if (length === null)
        throw new RuntimeError('bad-model', `${address(path)}: the server does not tell its size`);
      return Number(length);
    },
  };
}

async function get(url: string, init: RequestInit): Promise<Response> {
  let response: Response;
  try {
    response = await fetch(url, init);
  } catch (error) {
    throw new RuntimeError('bad-model', `${url} cannot be reached; check the address and the connection`, {
      cause: error,
    });
  }
  if (!response.ok)
    throw new RuntimeError('bad-model', `${url} answered ${response.status}; check the address`);
  return response;
}
