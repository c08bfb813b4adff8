// The control words at the bottom of the heap: how the host starts a pass, how threads meet, share out work and stop.
// All fields are 32-bit words read and written with Atomics, so they work the same on shared and on own memory.

/** Bytes kept for control at address 0; the first 64 stay unused so that address 0 is never a valid pointer target. */
export const CONTROL_BYTES = 65536;

/** Bytes behind them for the kernels' own constants (kernels/build.mjs puts them there). */
export const CONSTANT_BYTES = 4096;

/** Word indices, each group on its own cache line (16 words) because different threads hammer them. */
export const WORD = {
  start: 16,
  finished: 32,
  arrived: 48,
  meeting: 64,
  waiting: 80,
  stop: 96,
  args: 112,
  help: 128,
  counters: 256,
} as const;

export const COUNTERS = CONTROL_BYTES / 4 - WORD.counters;

/** Value of the stop word: 0 run, 1 asked to end, 2 a thread failed. */
export const STOP = { run: 0, end: 1, failed: 2 } as const;

/** Thrown inside a thread that finds the others stopped. */
export class StoppedError extends Error {
  override readonly name = 'StoppedError';
}

// About 10 microseconds of looking before a thread goes to sleep: the phases of a decode step take 5 to 100, waking a
// sleeper about 10, and on a busy machine a spinning thread keeps the one it waits for off the processor.
const SPINS = 1000;

/** What one of several threads does with the control words. */
export class Control {
  words: Int32Array;
  /** Those that take part in the pass which runs. */
  threads: number;

  constructor(buffer: ArrayBufferLike, threads: number) {
    this.words = new Int32Array(buffer, 0, CONTROL_BYTES / 4);
    this.threads = threads;
  }

  /** Looks at `buffer` from now on: own memory that grew has a new one. */
  attach(buffer: ArrayBufferLike): void {
    if (this.words.buffer !== buffer) this.words = new Int32Array(buffer, 0, CONTROL_BYTES / 4);
  }

  /** The next piece of work of this phase, or of one thread's part of it, that nobody has taken: 0, 1, 2, ... */
  claim(phase: number, part = 0): number {
    return Atomics.add(this.words, WORD.counters + phase * this.threads + part, 1);
  }

  /** Waits until every thread is here. */
  meet(): void {
    if (this.threads === 1) return;
    const { words } = this;
    const meeting = Atomics.load(words, WORD.meeting);
    if (Atomics.add(words, WORD.arrived, 1) + 1 === this.threads) {
      Atomics.store(words, WORD.arrived, 0);
      Atomics.store(words, WORD.meeting, meeting + 1);
      if (Atomics.load(words, WORD.waiting) > 0) Atomics.notify(words, WORD.meeting);
      return;
    }
    this.#await(WORD.meeting, meeting);
  }

  /** Returns when word `index` no longer holds `value`, or when told to stop: how a thread waits for work. */
  sleep(index: number, value: number): void {
    const { words } = this;
    for (let i = 0; i < SPINS; i++) if (Atomics.load(words, index) !== value) return;
    while (Atomics.load(words, index) === value && Atomics.load(words, WORD.stop) === STOP.run)
      Atomics.wait(words, index, value);
  }

  /** Returns when word `index` no longer holds `value`; throws StoppedError when the pass was stopped. */
  #await(index: number, value: number): void {
    const { words } = this;
    for (let i = 0; i < SPINS; i++) if (Atomics.load(words, index) !== value) return;
    Atomics.add(words, WORD.waiting, 1);
    try {
      while (Atomics.load(words, index) === value) {
        if (Atomics.load(words, WORD.stop) !== STOP.run) throw new StoppedError('stopped');
        // A bound, so that a thread whose partner died sees the stop word even if nobody can wake it.
        Atomics.wait(words, index, value, 1000);
      }
    } finally {
      Atomics.sub(words, WORD.waiting, 1);
    }
  }
}
