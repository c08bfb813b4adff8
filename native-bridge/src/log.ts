// The bridge's log: what happened, when and how long it took; never a prompt, an answer, a token or a query string.
// Kept small by rotation, so that a service can run for years.
import { appendFileSync, renameSync, statSync } from 'node:fs';
import path from 'node:path';
import { makeFolder } from '@baton/runtime/make-folder';

export interface Log {
  info(line: string): void;
  error(error: unknown): void;
  request(method: string, route: string, status: number, ms: number): void;
}

/** Lines to `write`, e.g. stderr; requests only when `requests` is set. */
export function lineLog(write: (line: string) => void, requests = false): Log {
  const stamped = (line: string): void => write(`${new Date().toISOString()} ${line}`);
  return {
    info: stamped,
    error: (error) => stamped(`error: ${oneLine(error)}`),
    request: (method, route, status, ms) => {
      if (requests) stamped(`${method} ${route} ${status} ${ms.toFixed(0)} ms`);
    },
  };
}

/**
 * A writer to `file` that starts a new file at `maxBytes` and keeps `keep` old ones (file.1 is the newest). Throws with one
 * line where there can be no such file.
 */
export function rotatingFile(file: string, maxBytes = 2_000_000, keep = 3): (line: string) => void {
  try {
    makeFolder(path.dirname(file), 0o700);
    appendFileSync(file, '', { mode: 0o600 });
  } catch (cause) {
    throw new Error(`the log file ${file} cannot be written (${(cause as Error).message}); name another`, {
      cause,
    });
  }
  return (line) => {
    const text = `${line}\n`;
    if (sizeOf(file) + Buffer.byteLength(text) > maxBytes) rotate(file, keep);
    appendFileSync(file, text, { mode: 0o600 });
  };
}

function rotate(file: string, keep: number): void {
  for (let i = keep - 1; i >= 0; i--) {
    const from = i === 0 ? file : `${file}.${i}`;
    if (sizeOf(from) > 0) renameSync(from, `${file}.${i + 1}`);
  }
}

function sizeOf(file: string): number {
  return statSync(file, { throwIfNoEntry: false })?.size ?? 0;
}

/** The kind and place of a failure. Messages of unknown errors may quote input, so only typed ones are written out. */
function oneLine(error: unknown): string {
  if (!(error instanceof Error)) return 'something that is no Error was thrown';
  const typed = ['RuntimeError', 'ApiError', 'SplitError', 'EndpointError', 'BackendLostError'].includes(
    error.name,
  );
  const place = /\n\s+at ([^\n]+)/.exec(error.stack ?? '')?.[1] ?? '';
  return (typed ? `${error.name}: ${error.message}` : `${error.name} at ${place}`)
    .replace(/\s+/g, ' ')
    .slice(0, 500);
}
