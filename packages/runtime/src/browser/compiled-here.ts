// Models that are compiled in the browser: the way from a checkpoint to a compiled model's files inside the worker. Loaded only
// where there is something to compile.

import {
  blobSource,
  compile,
  COMPILER_VERSION,
  hubSource,
  urlSource,
  type CheckpointSource,
  type ModelFiles,
} from '@baton/compiler';
import { RuntimeError } from '../errors.ts';
import { MemoryModel } from '../memory-files.ts';
import type { CheckpointSourceKind } from './model-source.ts';
import { opfsStore } from './opfs-folder.ts';
import type { Progress } from './worker-face.ts';

/** The files of the model made from `source`; with `keep` those that are in the store already. */
export async function compiledHere(
  source: CheckpointSourceKind,
  keep: boolean,
  onProgress: (progress: Progress) => void,
  signal?: AbortSignal,
): Promise<ModelFiles> {
  onProgress({ stage: 'reading the checkpoint' });
  const build = async (checkpoint: CheckpointSource, sink: Parameters<typeof compile>[1]): Promise<void> => {
    await compile(checkpoint, sink, {
      ...source.compile,
      ...(signal ? { signal } : {}),
      onProgress: ({ done, total, remainingMs }) =>
        onProgress({ stage: 'compiling', fraction: total > 0 ? done / total : 0, remainingMs }),
    });
  };
  const name = sourceName(source);
  if (!keep) {
    const model = new MemoryModel();
    await build(await openCheckpoint(source, signal), model);
    return model;
  }
  const store = opfsStore();
  let checkpoint: CheckpointSource;
  let key: string;
  try {
    checkpoint = await openCheckpoint(source, signal);
    key = JSON.stringify([
      name,
      await checkpointIdentity(source, checkpoint, signal),
      COMPILER_VERSION,
      import.meta.url,
    ]);
  } catch (error) {
    if (signal?.aborted) throw error;
    const stored = (await store.list()).find((m) => m.complete && m.source === name);
    if (stored) return store.open(stored.name);
    throw error;
  }
  return store.make(key, name, (sink) => build(checkpoint, sink));
}

function openCheckpoint(
  source: CheckpointSourceKind,
  signal: AbortSignal | undefined,
): Promise<CheckpointSource> {
  if (source.kind === 'checkpoint') return urlSource(source.url, signal ? { signal } : {});
  if (source.kind === 'files') return Promise.resolve(blobSource(source.name, source.files));
  const { revision, token } = source;
  return hubSource(source.id, {
    // The hub's library takes no signal of its own.
    ...(signal ? { fetch: (input, init) => fetch(input, { ...init, signal }) } : {}),
    ...(revision === undefined ? {} : { revision }),
    ...(token === undefined ? {} : { accessToken: token }),
  });
}

function sourceName(source: CheckpointSourceKind): string {
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
async function checkpointIdentity(
  source: CheckpointSourceKind,
  checkpoint: CheckpointSource,
  signal: AbortSignal | undefined,
): Promise<unknown> {
  const names = [...(await checkpoint.list())].sort();
  const sizes = await Promise.all(names.map(async (name) => [name, await checkpoint.size(name)]));
  if (source.kind !== 'checkpoint') return sizes;
  const base = source.url.endsWith('/') ? source.url : `${source.url}/`;
  const weights = names.filter((name) => name.endsWith('.safetensors'));
  const stamps = await Promise.all(
    weights.map(async (name) => {
      const response = await fetch(new URL(name, base), { method: 'HEAD', signal: signal ?? null });
      if (!response.ok)
        throw new RuntimeError('bad-model', `${new URL(name, base).href} answered ${response.status}`);
      return [response.headers.get('etag'), response.headers.get('last-modified')];
    }),
  );
  return [sizes, stamps];
}
