// Request bodies, of known length or in pieces, up to the limit that the door knows.
import { text } from 'node:stream/consumers';
import type { Context } from 'hono';
import { ApiError } from '../api-error.ts';
import { BODY_LIMIT_BYTES, tooLarge } from '../door/door.ts';

/**
 * The body as it comes. Throws 413 where it is larger than the limit, an AbortError where it breaks off. Not hono's own body limit: it
 * makes a new Request of one whose length is not told, which fails for those of @hono/node-server unless that replaces the global class.
 */
export async function* pieces(c: Context): AsyncGenerator<Uint8Array> {
  let bytes = 0;
  for await (const piece of untilBroken(c.req.raw.body)) {
    bytes += piece.length;
    if (bytes > BODY_LIMIT_BYTES) {
      // The rest is not read, so no other request can come behind it.
      c.header('connection', 'close');
      throw tooLarge();
    }
    yield piece;
  }
}

/** A body ends in an error only because its sender left or was too slow, neither of which is a failure of this server. */
async function* untilBroken(body: ReadableStream<Uint8Array> | null): AsyncGenerator<Uint8Array> {
  try {
    yield* body ?? [];
  } catch {
    throw new DOMException('the body broke off', 'AbortError');
  }
}

/** All of it. */
export const whole = (c: Context): Promise<string> => text(pieces(c));

/** Throws 400 for what is not JSON. */
export function parsed(body: string): unknown {
  try {
    return JSON.parse(body);
  } catch {
    throw new ApiError(400, 'the body is not JSON');
  }
}
