// One graph's blob in the folder of its model and device. Knows files only, so that the compiling child loads little else.
import { existsSync } from 'node:fs';
import { mkdir, rename, rm } from 'node:fs/promises';
import path from 'node:path';
import type { ManifestGraph } from '@baton/compiler';

/** Where OpenVINO finds this graph's blob; null where it has not been compiled. */
export function finishedBlob(root: string, graph: ManifestGraph): string | null {
  const there = path.join(root, safe(graph.file));
  return existsSync(there) ? there : null;
}

/** Runs `compile` with an empty folder for its blob, which takes its final name at the end. */
export async function writeBlob(
  root: string,
  graph: ManifestGraph,
  compile: (cacheFolder: string) => Promise<void>,
): Promise<void> {
  const final = path.join(root, safe(graph.file));
  const unfinished = `${final}.unfinished-${process.pid}`;
  await rm(unfinished, { recursive: true, force: true });
  await mkdir(unfinished, { recursive: true });
  try {
    await compile(unfinished);
    await rename(unfinished, final).catch((error: unknown) => {
      // Another process was faster; its blob is as good.
      if (!existsSync(final)) throw error;
    });
  } finally {
    await rm(unfinished, { recursive: true, force: true });
  }
}

/** A name that every file system takes. */
export function safe(name: string): string {
  return name.replace(/[^\w.-]/g, '_');
}
