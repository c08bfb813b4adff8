// The child process of warm-up.ts: compiles each graph into its cache and forgets it. Started by fork, told its job in
// the first message, ends when all is done, or when its parent does.
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { writeBlob } from './blob-files.ts';
import type { Openvino } from './load.ts';
import { compileGraph } from './properties.ts';
import type { WarmUpJob, WarmUpMessage } from './warm-up.ts';

process.once('disconnect', () => process.exit(1));
process.once('message', (job: WarmUpJob) => {
  work(job).then(
    () => process.exit(0),
    (error: unknown) => {
      const message: WarmUpMessage = { failed: error instanceof Error ? error.message : String(error) };
      process.send!(message, () => process.exit(1));
    },
  );
});

async function work(job: WarmUpJob): Promise<void> {
  const addon = await addonOf(job.addonModule);
  for (const graph of job.graphs) {
    const began = performance.now();
    let rejected: readonly string[] = [];
    await writeBlob(job.root, graph, async (cacheFolder) => {
      ({ rejected } = await compileGraph(
        new addon.Core(),
        path.join(job.model, graph.file),
        job.device,
        cacheFolder,
      ));
    });
    // The compiled model is garbage now; give it back before the next one.
    (globalThis as { gc?: () => void }).gc?.();
    const message: WarmUpMessage = {
      done: graph.file,
      seconds: (performance.now() - began) / 1000,
      rejected,
    };
    await new Promise<void>((resolve) => process.send!(message, () => resolve()));
  }
}

async function addonOf(module: string | null): Promise<Openvino> {
  if (module !== null) return ((await import(pathToFileURL(module).href)) as { addon: Openvino }).addon;
  const { loadOpenvino } = await import('./load.ts');
  const { addon, reason } = loadOpenvino();
  if (!addon) throw new Error(reason);
  return addon;
}
