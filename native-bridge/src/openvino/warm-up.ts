// NITRO's warm-up: every graph is compiled once into its cache and dropped before the next, in a child process, so that
// the compiler's memory (gigabytes for an 8 B model) is given back whatever a driver keeps; then the graphs are loaded
// from the cache. A child that dies takes no bridge with it.
import { fork } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { RuntimeError } from '@baton/runtime';
import type { ManifestGraph } from '@baton/compiler';
import { tidyBlobs } from './blob-cache.ts';
import { finishedBlob } from './blob-files.ts';

export interface WarmUpJob {
  /** Module that exports `addon`; null: openvino-node. */
  addonModule: string | null;
  device: string;
  /** The compiled model's folder. */
  model: string;
  /** The blob folder. */
  root: string;
  graphs: readonly ManifestGraph[];
}

export type WarmUpMessage =
  { done: string; seconds: number; rejected: readonly string[] } | { failed: string };

export type Progress = (line: string) => void;

/** Compiles what is not in the cache yet. Throws `target-unavailable` with the reason; what was compiled stays. */
export async function warmUp(job: WarmUpJob, onProgress: Progress): Promise<void> {
  await tidyBlobs(job.root);
  for (;;) {
    const missing = job.graphs.filter((g) => finishedBlob(job.root, g) === null);
    if (missing.length === 0) return;
    const { compiled, failure, died } = await compileInChild({ ...job, graphs: missing }, onProgress);
    if (failure === null) return;
    // What earlier graphs left in its memory may have killed it: the next child starts with the graph it died at.
    if (died && compiled > 0) continue;
    throw new RuntimeError(
      'target-unavailable',
      died
        ? `${job.device} could not compile ${missing[compiled]?.file ?? 'the model'}: ${failure}`
        : failure,
    );
  }
}

interface Ended {
  compiled: number;
  failure: string | null;
  /** It ended without a word: killed, or crashed in native code. */
  died: boolean;
}

async function compileInChild(job: WarmUpJob, onProgress: Progress): Promise<Ended> {
  const child = fork(fileURLToPath(new URL('./warm-up-child.ts', import.meta.url)), {
    execArgv: ['--expose-gc'],
    stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
  });
  let compiled = 0;
  let failure: string | null = null;
  let said = '';
  child.stderr!.on('data', (data: Buffer) => (said = (said + data.toString()).slice(-2000)));
  child.on('message', (message: WarmUpMessage) => {
    if ('failed' in message) {
      failure = message.failed;
      return;
    }
    compiled++;
    const without = message.rejected.length > 0 ? ` (without ${message.rejected.join(', ')})` : '';
    onProgress(`${job.device}: compiled ${message.done} in ${message.seconds.toFixed(1)} s${without}`);
  });
  child.send(job, () => undefined);
  const [code, signal] = await new Promise<[number | null, NodeJS.Signals | null]>((resolve) => {
    // Not 'exit': messages and stderr may still be on their way then.
    child.once('close', (...end) => resolve(end));
    child.once('error', (error) => {
      failure ??= error.message;
      resolve([1, null]);
    });
  });
  if (code === 0) return { compiled, failure: null, died: false };
  if (failure !== null) return { compiled, failure, died: false };
  const lines = said.trim().split('\n');
  const telling =
    lines.findLast((line) => /error|terminate|what\(\)|assert|abort/i.test(line)) ?? lines.at(-1);
  const how = signal ? `was ended by ${signal}` : `ended with code ${code}`;
  const hint =
    signal === 'SIGKILL' || signal === 'SIGABRT' ? '; out of memory? fewer --layers-per-graph need less' : '';
  return {
    compiled,
    failure: `its compiler process ${how}${telling ? ` (${telling.trim()})` : ''}${hint}`,
    died: true,
  };
}
