// Where a browser gets a model from, and the way from there to a compiled model's files inside the worker. What was
// downloaded or compiled once is kept in the browser's private file system, and found there offline too.

import {
  blobSource,
  compile,
  COMPILER_VERSION,
  hubSource,
  urlSource,
  type CheckpointSource,
  type CompileOptions,
  type ModelFiles,
} from '@baton/compiler';
import { RuntimeError } from '../errors.ts';
import { MemoryModel } from '../memory-files.ts';
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

type Report = (progress: Progress) => void;

export async function modelFiles(source: ModelSource, onProgress: Report): Promise<ModelFiles> {
  if (source.kind === 'stored') return opfsStore().open(source.name);
  const keep = source.kind !== 'files' && source.keep !== false && (await hasOpfs());
  if (source.kind === 'compiled') {
    onProgress({ stage: 'reading the model' });
    if (!keep) return urlFiles(source.url);
    return opfsStore().download(source.url, {
      onProgress: ({ done, total, bytesPerSecond, remainingMs }) =>
        onProgress({ stage: 'downloading', fraction: done / total, bytesPerSecond, remainingMs }),
    });
  }
  onProgress({ stage: 'reading the checkpoint' });
  const build = async (checkpoint: CheckpointSource, sink: Parameters<typeof compile>[1]): Promise<void> => {
    await compile(checkpoint, sink, {
      ...source.compile,
      onProgress: ({ done, total, remainingMs }) =>
        onProgress({ stage: 'compiling', fraction: total > 0 ? done / total : 0, remainingMs }),
    });
  };
  const name = sourceName(source);
  if (!keep) {
    const model = new MemoryModel();
    await build(await openCheckpoint(source), model);
    return model;
  }
  const store = opfsStore();
  let checkpoint: CheckpointSource;
  let key: string;
  try {
    checkpoint = await openCheckpoint(source);
    key = JSON.stringify([
      name,
      await checkpointIdentity(source, checkpoint),
      COMPILER_VERSION,
      import.meta.url,
    ]);
  } catch (error) {
    const stored = (await store.list()).find((m) => m.complete && m.source === name);
    if (stored) return store.open(stored.name);
    throw error;
  }
  return store.make(key, name, (sink) => build(checkpoint, sink));
}

type CheckpointKind = Exclude<ModelSource, { kind: 'compiled' } | { kind: 'stored' }>;

function openCheckpoint(source: CheckpointKind): Promise<CheckpointSource> {
  if (source.kind === 'checkpoint') return urlSource(source.url);
  if (source.kind === 'files') return Promise.resolve(blobSource(source.name, source.files));
  const { revision, token } = source;
  return hubSource(source.id, {
    ...(revision === undefined ? {} : { revision }),
    ...(token === undefined ? {} : { accessToken: token }),
  });
}

function sourceName(source: CheckpointKind): string {
  const options = JSON.stringify(source.compile ?? {});
  if (source.kind === 'checkpoint') return `${source.url} ${options}`;
  return source.kind === 'hub'
    ? `${source.id}@${source.revision ?? 'main'} ${options}`
    : `${source.name} ${options}`;
}

/**
 * What tells two versions of a checkpoint apart without reading its weights: names, sizes, and what the server says of
 * the weight files (ETag, date). The script's own address is part of the key too: a build names it by its contents, so
 * that a model made by an older compiler is not found.
 */
async function checkpointIdentity(source: CheckpointKind, checkpoint: CheckpointSource): Promise<unknown> {
  const names = [...(await checkpoint.list())].sort();
  const sizes = await Promise.all(names.map(async (name) => [name, await checkpoint.size(name)]));
  if (source.kind !== 'checkpoint') return sizes;
  const base = source.url.endsWith('/') ? source.url : `${source.url}/`;
  const weights = names.filter((name) => name.endsWith('.safetensors'));
  const stamps = await Promise.all(
    weights.map(async (name) => {
      const response = await fetch(new URL(name, base), { method: 'HEAD' });
      if (!response.ok)
        throw new RuntimeError('bad-model', `${new URL(name, base).href} answered ${response.status}`);
      return [response.headers.get('etag'), response.headers.get('last-modified')];
    }),
  );
  return [sizes, stamps];
}
