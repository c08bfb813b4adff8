// The page of the browser benchmark: starts a worker that measures, as an application would run the model.
import type { PageFigures, PageJob } from './job.ts';

declare global {
  interface Window {
    measure(job: PageJob): Promise<PageFigures>;
  }
}

window.measure = (job) =>
  new Promise((resolve, reject) => {
    const worker = new Worker(new URL('./worker.ts', import.meta.url), { type: 'module' });
    worker.addEventListener('error', (event) => reject(new Error(event.message)));
    worker.addEventListener('message', (event: MessageEvent<PageFigures | { error: string }>) => {
      worker.terminate();
      if ('error' in event.data) reject(new Error(event.data.error));
      else resolve(event.data);
    });
    worker.postMessage(job);
  });
