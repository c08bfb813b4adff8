// Entry of a compute thread, as a module worker in a browser and as a worker thread in Node. Once it serves it does not
// return to its event loop until it is told to end.
import type { ThreadPacking, ThreadStart } from './thread.ts';
import { packShare, serve } from './thread.ts';

/** From the host. */
export type ToThread = { pack: ThreadPacking } | { serve: ThreadStart };
/** Answers packing: null when this thread has nothing more to pack, or why it cannot. */
export type FromThread = { packed: string | null };

const node = globalThis.process?.getBuiltinModule?.('node:worker_threads');

async function answer(message: ToThread, reply: (message: FromThread) => void): Promise<void> {
  if ('serve' in message) return serve(message.serve);
  try {
    await packShare(message.pack);
    reply({ packed: null });
  } catch (error) {
    reply({ packed: error instanceof Error ? error.message : String(error) });
  }
}

if (node?.parentPort) {
  const port = node.parentPort;
  port.on('message', (message: ToThread) => answer(message, (m) => port.postMessage(m)));
} else {
  globalThis.addEventListener('message', async (event: MessageEvent<ToThread>) => {
    await answer(event.data, (m) => globalThis.postMessage(m));
    if ('serve' in event.data) globalThis.close();
  });
}
