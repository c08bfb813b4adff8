// Runs passes on all threads. With shared memory the threads are workers and the caller stays free (it may be a main
// thread); without it the caller runs the one thread there is.
import { turnOfEventLoop } from '../../event-loop.ts';
import { Control, STOP, WORD } from './control.ts';
import { instantiateKernels } from './kernels.ts';
import type { Piece } from './pieces.ts';
import type { Plan } from './plan.ts';
import type { Pass } from './program.ts';
import { Program } from './program.ts';
import type { SharedFiles } from './shared-files.ts';
import { writePass } from './thread.ts';
import type { FromThread, ToThread } from './worker.ts';

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

/** Workers on shared memory: they pack weights, then run passes. Being started early they are up when they are needed. */
export interface Threads {
  /** Packs all pieces. Rejects with the reason where that fails; the threads are then of no use. */
  pack(pieces: readonly Piece[], files: SharedFiles): Promise<void>;
  /** Once, when everything is packed. */
  serve(module: WebAssembly.Module, plan: Plan): Pool;
  close(): Promise<void>;
}

export function startThreads(memory: WebAssembly.Memory, threads: number): Threads {
  const { words } = new Control(memory.buffer, threads);
  let failure: Error | undefined;
  const reported = Promise.withResolvers<void>();
  let closing = false;
  const fail = (error: Error): void => {
    if (closing) return;
    failure ??= error;
    reported.resolve();
    Atomics.compareExchange(words, WORD.stop, STOP.run, STOP.failed);
    for (const word of [WORD.meeting, WORD.start, WORD.help, WORD.finished]) Atomics.notify(words, word);
  };
  const workers = Array.from({ length: threads }, (_, thread) => startThread(thread, fail));
  /** Idle threads do not keep a Node process alive; what they are doing does. */
  const held = async <T>(work: Promise<T>): Promise<T> => {
    for (const worker of workers) worker.hold(true);
    try {
      return await work;
    } finally {
      for (const worker of workers) worker.hold(false);
    }
  };

  const finished = async (taking: number): Promise<void> => {
    for (;;) {
      const done = Atomics.load(words, WORD.finished);
      if (Atomics.load(words, WORD.stop) !== STOP.run) {
        // The worker's error event may come after its stop word; give it a moment, it has the reason.
        await Promise.race([reported.promise, new Promise((resolve) => setTimeout(resolve, 100))]);
        throw failure ?? new Error('a compute thread stopped');
      }
      if (done === taking) return;
      const wait = Atomics.waitAsync(words, WORD.finished, done, 1000);
      if (wait.async) await wait.value;
    }
  };
  const close = async (): Promise<void> => {
    if (closing) return;
    closing = true;
    Atomics.compareExchange(words, WORD.stop, STOP.run, STOP.end);
    for (const word of [WORD.meeting, WORD.start, WORD.help, WORD.finished]) Atomics.notify(words, word);
    await Promise.all(workers.map((worker) => worker.end()));
  };

  return {
    close,
    async pack(pieces, files) {
      words.fill(0, WORD.counters);
      const answers = workers.map(async (worker) => {
        const { packed } = await worker.ask({ pack: { memory, pieces, files } });
        if (packed !== null) throw new Error(packed);
      });
      const failed = reported.promise.then(() => {
        throw failure!;
      });
      await held(Promise.race([Promise.all(answers), failed]));
    },
    serve(module, plan) {
      workers.forEach((worker, thread) => worker.post({ serve: { module, memory, plan, thread, threads } }));
      return {
        threads,
        close,
        async run(pass) {
          if (failure) throw failure;
          if (closing) throw new Error('the compute threads are closed');
          writePass(words, pass);
          words.fill(0, WORD.counters);
          Atomics.store(words, WORD.finished, 0);
          for (const word of pass.threads > 1 ? [WORD.help, WORD.start] : [WORD.start]) {
            Atomics.add(words, word, 1);
            Atomics.notify(words, word);
          }
          await held(finished(pass.threads));
        },
      };
    },
  };
}

interface ThreadHandle {
  post(message: ToThread): void;
  /** Posts it and waits for the answer; waits for ever where the thread fails. */
  ask(message: ToThread): Promise<FromThread>;
  hold(on: boolean): void;
  end(): Promise<void>;
}

function startThread(thread: number, fail: (error: Error) => void): ThreadHandle {
  const node = globalThis.process?.getBuiltinModule?.('node:worker_threads');
  if (node) {
    const worker = new node.Worker(new URL('./worker.ts', import.meta.url), keptCode());
    worker.unref();
    worker.once('error', (error: Error) => fail(error));
    worker.once('exit', (code) => fail(new Error(`a compute thread exited with code ${code}`)));
    return {
      post: (message) => worker.postMessage(message),
      ask: (message) => {
        worker.postMessage(message);
        return new Promise((resolve) => worker.once('message', resolve));
      },
      hold: (on) => void (on ? worker.ref() : worker.unref()),
      end: async () => void (await worker.terminate()),
    };
  }
  const worker = new Worker(new URL('./worker.ts', import.meta.url), {
    type: 'module',
    name: `baton-wasm-simd-${thread}`,
  });
  worker.addEventListener('error', (event) =>
    fail(new Error(event.message || 'a compute thread could not start')),
  );
  return {
    post: (message) => worker.postMessage(message),
    ask: (message) => {
      worker.postMessage(message);
      return new Promise((resolve) =>
        worker.addEventListener('message', (event: MessageEvent<FromThread>) => resolve(event.data), {
          once: true,
        }),
      );
    },
    hold() {},
    end: async () => worker.terminate(),
  };
}

/** A worker takes its code from where the process keeps compiled code, if it does: 0.17 s of processor time instead of 0.45. */
function keptCode(): { env?: NodeJS.ProcessEnv } {
  const folder = process.getBuiltinModule('node:module').getCompileCacheDir?.();
  if (folder === undefined) return {};
  // The folder in it that belongs to this version of Node is found anew.
  return {
    env: { ...process.env, NODE_COMPILE_CACHE: process.getBuiltinModule('node:path').dirname(folder) },
  };
}
