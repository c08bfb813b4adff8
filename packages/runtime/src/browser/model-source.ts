// Where a browser gets a model from, and the way from there to a compiled model's files inside the worker. What was
// downloaded or compiled once is kept in the browser's private file system, and found there offline too.

import type { CompileOptions, ModelFiles } from '@baton/compiler';
import { hasOpfs, opfsStore } from './opfs-folder.ts';
import { urlFiles } from './url-files.ts';
import type { Progress } from './worker-face.ts';

/** Compiler options that can be sent to a worker. */
export type WireCompileOptions = Omit<CompileOptions, 'signal' | 'onProgress'>;

interface Kept {
  /** Keep it in this browser. Default true; without a private file system it is held in memory. */
  keep?: boolean;
}

export type ModelSource =
  /** A compiled model: the address of the folder that holds baton.json. */
  | ({ kind: 'compiled'; url: string } & Kept)
  /** A compiled model in the store, by its name there. */
  | { kind: 'stored'; name: string }
  /** A Hugging Face checkpoint: the address of the folder that holds config.json. Compiled here. */
  | ({ kind: 'checkpoint'; url: string; compile?: WireCompileOptions } & Kept)
  /** A checkpoint on the Hugging Face hub, e.g. "org/name". Compiled here. */
  | ({ kind: 'hub'; id: string; revision?: string; token?: string; compile?: WireCompileOptions } & Kept)
  /** Files a person chose. Compiled here, held in memory. */
  | { kind: 'files'; name: string; files: readonly File[]; compile?: WireCompileOptions };

/** What must be compiled before it can be opened. */
export type CheckpointSourceKind = Exclude<ModelSource, { kind: 'compiled' } | { kind: 'stored' }>;

type Report = (progress: Progress) => void;

/** Rejects with an AbortError when `signal` aborts; a download is then continued by the next try. */
export async function modelFiles(
  source: ModelSource,
  onProgress: Report,
  signal?: AbortSignal,
): Promise<ModelFiles> {
  if (source.kind === 'stored') return opfsStore().open(source.name);
  const keep = source.kind !== 'files' && source.keep !== false && (await hasOpfs());
  if (source.kind === 'compiled') {
    onProgress({ stage: 'reading the model' });
    if (!keep) return urlFiles(source.url);
    return opfsStore().download(source.url, {
      signal,
      onProgress: ({ done, total, bytesPerSecond, remainingMs }) =>
        onProgress({ stage: 'downloading', fraction: done / total, bytesPerSecond, remainingMs }),
    });
  }
  // Much of the worker's code, and of no use to a model that is compiled already.
  const { compiledHere } = await import('./compiled-here.ts');
  return compiledHere(source, keep, onProgress, signal);
}
