// A prompt that is still being sent is read into a cache as far as it has come: the client, a relay's small model, is still writing
// it. Each piece takes a turn of its own in the queue; who only sends keeps no place there.
import { READ_AHEAD, READS_ALONG, readAlong } from '@baton/split/read-along';
import type { Context } from 'hono';
import type { Engine } from '../engine/engine.ts';
import type { RequestQueue } from '../engine/queue.ts';
import { pieces, whole } from './body.ts';
import { startRequest } from './run-request.ts';

/** Told with every answer of an engine that reads along, so that clients know of it. */
export function tellReadsAlong(c: Context, engine: Engine, withinMs: number): void {
  if (engine.stepwise) c.header(READS_ALONG, String(withinMs / 1000));
}

/** The body, once it has all come. One of known length is sent at once and not read before it is complete. */
export async function bodyText(
  c: Context,
  engine: Engine,
  queue: RequestQueue,
  shutdown: AbortSignal,
): Promise<string> {
  if (!engine.stepwise || c.req.header('content-length') !== undefined) return whole(c);
  const { text, read } = await readAlong(pieces(c), async (prompt) => {
    const { signal, release } = await startRequest(queue, c.req.raw.signal, shutdown);
    try {
      for await (const _ of engine.generate({ text: prompt }, { maxTokens: 0, signal }));
    } finally {
      release();
    }
  });
  c.header(READ_AHEAD, String(read));
  return text;
}
