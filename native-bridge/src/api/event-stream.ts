// Server-sent events as a web stream: one JSON object per event, [DONE] at the end, an error event when it fails
// half-way. Pulls from its source only as fast as the client reads, and stops it when the client leaves.
import { toApiError } from '../api-error.ts';

export const EVENT_STREAM_HEADERS: Readonly<Record<string, string>> = {
  'content-type': 'text/event-stream; charset=utf-8',
  'cache-control': 'no-store',
  // Proxies must not collect the events.
  'x-accel-buffering': 'no',
};

/** A client that does not take the next event for so long is as good as gone: its place is given to others. */
const STALL_MS = 60_000;

/**
 * `stop` is called once, when the client has left, or stopped reading, before the end. `onError` hears what the client
 * only sees the kind of.
 */
export function eventStream(
  source: AsyncIterator<object>,
  stop: () => void,
  onError: (error: unknown) => void,
  stallMs = STALL_MS,
): ReadableStream<Uint8Array> {
  const encoder = new TextEncoder();
  let stalled: NodeJS.Timeout | undefined;
  let left = false;
  const giveUp = async (): Promise<void> => {
    left = true;
    clearTimeout(stalled);
    stop();
    await source.return?.();
  };
  return new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        clearTimeout(stalled);
        const send = (data: string): void => {
          // While the source was waited for: nobody is there to be told.
          if (left) return;
          controller.enqueue(encoder.encode(`data: ${data}\n\n`));
          stalled = setTimeout(() => {
            controller.error(new Error('the client does not read'));
            giveUp().catch(onError);
          }, stallMs);
        };
        try {
          const next = await source.next();
          if (!next.done) return send(JSON.stringify(next.value));
          send('[DONE]');
        } catch (error) {
          onError(error);
          send(JSON.stringify(toApiError(error).body()));
        }
        clearTimeout(stalled);
        if (!left) controller.close();
      },
      cancel: giveUp,
    },
    { highWaterMark: 0 },
  );
}
