// What crosses the worker boundary besides comlink's own messages: errors with their codes, aborts and streams over a port. Large
// values are moved, not cloned.

import { transfer } from 'comlink';
import { BackendLostError, type TargetId } from '../backend.ts';
import { RuntimeError, messageOf, type RuntimeErrorCode } from '../errors.ts';
import type { Loss } from '../loss.ts';

export interface WireError {
  name: string;
  message: string;
  code?: RuntimeErrorCode;
  target?: TargetId;
  stillWorks?: boolean;
}

export type Reply<T> = { ok: T } | { error: WireError };

/** Runs `work` in the worker and packs its result or its error. */
export async function reply<T>(work: () => Promise<T>): Promise<Reply<T>> {
  try {
    return { ok: await work() };
  } catch (error) {
    return { error: pack(error) };
  }
}

/** As `reply`, for a result whose buffers the worker needs no more: they are moved to the page. */
export async function replyMoving<T>(
  work: () => Promise<T>,
  buffers: (result: T) => ArrayBuffer[],
): Promise<Reply<T>> {
  const packed = await reply(work);
  return 'error' in packed ? packed : transfer(packed, buffers(packed.ok));
}

/** Worker side: runs `work` under a signal that the page's message on `port` aborts. */
export async function underPort<T>(port: MessagePort, work: (signal: AbortSignal) => Promise<T>): Promise<T> {
  const abort = new AbortController();
  port.addEventListener('message', () => abort.abort());
  port.start();
  try {
    return await work(abort.signal);
  } finally {
    port.close();
  }
}

/** Unpacks a reply on the page: the value, or the error thrown with its class and code. */
export function unwrap<T>(packed: Reply<T>): T {
  if ('error' in packed) throw unpack(packed.error);
  return packed.ok;
}

export function pack(error: unknown): WireError {
  const wire: WireError = { name: error instanceof Error ? error.name : 'Error', message: messageOf(error) };
  if (error instanceof RuntimeError) wire.code = error.code;
  if (error instanceof BackendLostError)
    Object.assign(wire, { target: error.target, stillWorks: error.stillWorks });
  return wire;
}

export function unpack(wire: WireError): Error {
  if (wire.target) {
    // The constructor puts the target in front of the message.
    const prefix = `${wire.target}: `;
    return new BackendLostError(
      wire.target,
      wire.message.startsWith(prefix) ? wire.message.slice(prefix.length) : wire.message,
      { stillWorks: wire.stillWorks ?? false },
    );
  }
  if (wire.code) return new RuntimeError(wire.code, wire.message);
  if (wire.name === 'AbortError') return new DOMException(wire.message, 'AbortError');
  const error = new Error(wire.message);
  error.name = wire.name;
  return error;
}

type StreamMessage<T> = { chunk: T } | { error: WireError } | { end: true };

/** Worker side: sends every item through the port; the page's 'abort' message fires `abort`. Never throws. */
export async function sendStream<T>(
  port: MessagePort,
  make: (signal: AbortSignal) => AsyncIterable<T>,
): Promise<void> {
  const abort = new AbortController();
  port.addEventListener('message', () => abort.abort());
  port.start();
  const send = (message: StreamMessage<T>): void => port.postMessage(message);
  try {
    for await (const chunk of make(abort.signal)) send({ chunk });
    send({ end: true });
  } catch (error) {
    send({ error: pack(error) });
  }
}

/**
 * Page side: the stream as an async iterable; `loss` is that of the worker. An abort of `signal`, or leaving the
 * loop early, tells the worker to stop; the iteration then still ends with what the worker says last.
 */
export async function* receiveStream<T>(
  port: MessagePort,
  signal: AbortSignal | undefined,
  loss: Loss,
): AsyncGenerator<T> {
  const queue: StreamMessage<T>[] = [];
  let wake = Promise.withResolvers<void>();
  port.addEventListener('message', (event: MessageEvent<StreamMessage<T>>) => {
    queue.push(event.data);
    wake.resolve();
  });
  port.start();
  const abort = (): void => port.postMessage('abort');
  if (signal?.aborted) abort();
  signal?.addEventListener('abort', abort);
  let ended = false;
  try {
    for (;;) {
      while (queue.length === 0) {
        await loss.before(wake.promise);
        wake = Promise.withResolvers<void>();
      }
      const message = queue.shift()!;
      if ('chunk' in message) yield message.chunk;
      else {
        ended = true;
        if ('error' in message) throw unpack(message.error);
        return;
      }
    }
  } finally {
    signal?.removeEventListener('abort', abort);
    if (!ended) {
      // Left early: the worker must be back at rest before the next call, so wait for its last word.
      abort();
      while (!queue.some((m) => !('chunk' in m))) {
        wake = Promise.withResolvers<void>();
        const dead = await loss.before(wake.promise).then(
          () => false,
          () => true,
        );
        if (dead) break;
      }
    }
    port.close();
  }
}
