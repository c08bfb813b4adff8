// One compute thread: packs weights, then waits for a pass, runs the program, says that it is done, waits again. The host
// runs the same code in its own thread where memory cannot be shared.
import { Control, STOP, WORD } from './control.ts';
import { instantiateKernels } from './kernels.ts';
import type { Piece } from './pieces.ts';
import { PiecePacker } from './pieces.ts';
import type { CacheLayout, Plan } from './plan.ts';
import { cacheLayout } from './plan.ts';
import type { Pass } from './program.ts';
import { Program } from './program.ts';
import type { SharedFiles } from './shared-files.ts';
import { openShared } from './shared-files.ts';

/** Sent to a worker at most once, before it serves. */
export interface ThreadPacking {
  memory: WebAssembly.Memory;
  pieces: readonly Piece[];
  files: SharedFiles;
}

/** Sent to a worker once; it answers no further message. */
export interface ThreadStart {
  module: WebAssembly.Module;
  memory: WebAssembly.Memory;
  plan: Plan;
  thread: number;
  threads: number;
}

const ARG = {
  tokens: 0,
  position: 1,
  cacheBase: 2,
  capacity: 3,
  logitsFrom: 4,
  logitsCount: 5,
  summarise: 6,
  read: 7,
  threads: 8,
} as const;

export function writePass(words: Int32Array, pass: Pass): void {
  const put = (arg: number, value: number): void => void Atomics.store(words, WORD.args + arg, value);
  put(ARG.tokens, pass.tokens);
  put(ARG.position, pass.position);
  put(ARG.cacheBase, pass.cache.base | 0);
  put(ARG.capacity, pass.cache.capacity);
  put(ARG.logitsFrom, pass.logitsFrom);
  put(ARG.logitsCount, pass.logitsCount);
  put(ARG.summarise, pass.summarise);
  put(ARG.read, pass.read);
  put(ARG.threads, pass.threads);
}

function readPass(words: Int32Array, plan: Plan): Pass {
  const get = (arg: number): number => Atomics.load(words, WORD.args + arg);
  const cache: CacheLayout = cacheLayout(plan, get(ARG.cacheBase) >>> 0, get(ARG.capacity));
  return {
    tokens: get(ARG.tokens),
    position: get(ARG.position),
    cache,
    logitsFrom: get(ARG.logitsFrom),
    logitsCount: get(ARG.logitsCount),
    summarise: get(ARG.summarise),
    read: get(ARG.read),
    threads: get(ARG.threads),
  };
}

/** Packs what no other thread has taken, until nothing is left. */
export async function packShare({ memory, pieces, files }: ThreadPacking): Promise<void> {
  const control = new Control(memory.buffer, 1);
  const { read, close } = await openShared(files);
  try {
    const packer = new PiecePacker(memory, read);
    for (let i = control.claim(0); i < pieces.length; i = control.claim(0)) await packer.pack(pieces[i]!);
  } finally {
    close();
  }
}

/** Runs passes until told to stop. Returns on a request to end; throws what a kernel threw, after stopping the others. */
export function serve({ module, memory, plan, thread, threads }: ThreadStart): void {
  const control = new Control(memory.buffer, threads);
  const { words } = control;
  const program = new Program(instantiateKernels(module, memory), memory, plan, control, thread);
  // The first thread runs every pass, the others those that are shared.
  const word = thread === 0 ? WORD.start : WORD.help;
  let seen = 0;
  for (;;) {
    control.sleep(word, seen);
    if (Atomics.load(words, WORD.stop) !== STOP.run) return;
    seen = Atomics.load(words, word);
    const pass = readPass(words, plan);
    control.threads = pass.threads;
    try {
      program.run(pass);
    } catch (error) {
      Atomics.compareExchange(words, WORD.stop, STOP.run, STOP.failed);
      Atomics.notify(words, WORD.meeting);
      Atomics.notify(words, WORD.start);
      Atomics.notify(words, WORD.help);
      Atomics.notify(words, WORD.finished);
      throw error;
    }
    if (Atomics.add(words, WORD.finished, 1) + 1 === pass.threads) Atomics.notify(words, WORD.finished);
  }
}
