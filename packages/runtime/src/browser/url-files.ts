// A compiled model's files behind a URL, fetched whole or by range. For models that are served next to the page; the
// model store (store/) keeps larger ones.

import type { ModelFiles } from '@baton/compiler';
import { RuntimeError } from '../errors.ts';

/** `base` is the address of the folder that holds baton.json. */
export function urlFiles(base: string): ModelFiles {
  const root = base.endsWith('/') ? base : `${base}/`;
  const address = (path: string): string => new URL(path, root).href;
  return {
    read: async (path, offset, length) => {
      const ranged = offset !== undefined && length !== undefined;
      const response = await get(
        address(path),
        ranged ? { headers: { Range: `bytes=${offset}-${offset + length - 1}` } } : {},
      );
      const bytes = new Uint8Array(await response.arrayBuffer());
      if (!ranged) return bytes;
      // 200: the server ignores ranges and sent the whole file.
      const part = response.status === 200 ? bytes.subarray(offset, offset + length) : bytes;
      if (part.length !== length)
        throw new RuntimeError(
          'bad-model',
          `${address(path)} gave ${part.length} of ${length} bytes from ${offset}`,
        );
      return part;
    },
    size: async (path) => {
      const length = (await get(address(path), { method: 'HEAD' })).headers.get('content-length');
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
