// Entry of a compute thread, as a module worker in a browser and as a worker thread in Node. It never returns to its
// event loop until it is told to end.
import type { ThreadStart } from './thread.ts';
import { serve } from './thread.ts';

const node = globalThis.process?.getBuiltinModule?.('node:worker_threads');

if (node?.parentPort) {
  serve(node.workerData as ThreadStart);
} else {
  globalThis.addEventListener(
    'message',
    (event: MessageEvent<ThreadStart>) => {
      serve(event.data);
      globalThis.close();
    },
    { once: true },
  );
}
