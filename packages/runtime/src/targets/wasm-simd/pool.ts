// Runs passes on all threads. With shared memory the threads are workers and the caller stays free (it may be a main
// thread); without it the caller runs the one thread there is.
import { turnOfEventLoop } from '../../event-loop.ts';
import { Control, STOP, WORD } from './control.ts';
import { instantiateKernels } from './kernels.ts';
import type { Plan } from './plan.ts';
import type { Pass } from './program.ts';
import { Program } from './program.ts';
import type { ThreadStart } from './thread.ts';
import { writePass } from './thread.ts';

export interface Pool {
  readonly threads: number;
  /** Resolves when every thread is done. Rejects with the reason when a thread failed; the pool is then unusable. */
  run(pass: Pass): Promise<void>;
  close(): Promise<void>;
}

/** The caller's own thread. */
export function inlinePool(module: WebAssembly.Module, memory: WebAssembly.Memory, plan: Plan): Pool {
  const control = new Control(memory.buffer, 1);
  const program = new Program(instantiateKernels(module, memory), memory, plan, control, 0);
  return {
    threads: 1,
    async run(pass) {
      // Growing own memory detaches the old view, so take a fresh one.
      control.attach(memory.buffer);
      control.words.fill(0, WORD.counters);
      program.run(pass);
      // An abort, a timer or a request that came meanwhile gets its turn between two passes, as beside worker threads.
      await turnOfEventLoop();
    },
    async close() {},
  };
}

/** `threads` workers on shared memory. */
export function workerPool(
  module: WebAssembly.Module,
  memory: WebAssembly.Memory,
  plan: Plan,
  threads: number,
): Pool {
  const { words } = new Control(memory.buffer, threads);
  let failure: Error | undefined;
  const reported = Promise.withResolvers<void>();
  let closing = false;
  const fail = (error: Error): void => {
    if (closing) return;
    failure ??= error;
    reported.resolve();
    Atomics.compareExchange(words, WORD.stop, STOP.run, STOP.failed);
    for (const word of [WORD.meeting, WORD.start, WORD.finished]) Atomics.notify(words, word);
  };
  const workers = Array.from({ length: threads }, (_, thread) =>
    startThread({ module, memory, plan, thread, threads }, fail),
  );

  const finished = async (): Promise<void> => {
    for (;;) {
      const done = Atomics.load(words, WORD.finished);
      if (Atomics.load(words, WORD.stop) !== STOP.run) {
        // The worker's error event may come after its stop word; give it a moment, it has the reason.
        await Promise.race([reported.promise, new Promise((resolve) => setTimeout(resolve, 100))]);
        throw failure ?? new Error('a compute thread stopped');
      }
      if (done === threads) return;
      const wait = Atomics.waitAsync(words, WORD.finished, done, 1000);
      if (wait.async) await wait.value;
    }
  };

  return {
    threads,
    async run(pass) {
      if (failure) throw failure;
      if (closing) throw new Error('the compute threads are closed');
      writePass(words, pass);
      words.fill(0, WORD.counters);
      Atomics.store(words, WORD.finished, 0);
      Atomics.add(words, WORD.start, 1);
      Atomics.notify(words, WORD.start);
      // Idle threads do not keep a Node process alive; a running pass does.
      for (const worker of workers) worker.hold(true);
      try {
        await finished();
      } finally {
        for (const worker of workers) worker.hold(false);
      }
    },
    async close() {
      if (closing) return;
      closing = true;
      Atomics.compareExchange(words, WORD.stop, STOP.run, STOP.end);
      for (const word of [WORD.meeting, WORD.start, WORD.finished]) Atomics.notify(words, word);
      await Promise.all(workers.map((worker) => worker.end()));
    },
  };
}

interface ThreadHandle {
  hold(on: boolean): void;
  end(): Promise<void>;
}

function startThread(start: ThreadStart, fail: (error: Error) => void): ThreadHandle {
  const node = globalThis.process?.getBuiltinModule?.('node:worker_threads');
  if (node) {
    const worker = new node.Worker(new URL('./worker.ts', import.meta.url), { workerData: start });
    worker.unref();
    worker.once('error', (error: Error) => fail(error));
    worker.once('exit', (code) => fail(new Error(`a compute thread exited with code ${code}`)));
    return {
      hold: (on) => void (on ? worker.ref() : worker.unref()),
      end: async () => void (await worker.terminate()),
    };
  }
  const worker = new Worker(new URL('./worker.ts', import.meta.url), {
    type: 'module',
    name: `baton-wasm-simd-${start.thread}`,
  });
  worker.addEventListener('error', (event) =>
    fail(new Error(event.message || 'a compute thread could not start')),
  );
  worker.postMessage(start);
  return { hold() {}, end: async () => worker.terminate() };
}
