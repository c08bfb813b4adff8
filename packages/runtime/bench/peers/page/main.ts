// One browser subject: the driver (browser-host.ts) opens it here and asks for turns.
import type { Subject } from '../subjects.ts';
import type { Runner, Turn, TurnTimes } from '../turn.ts';
import { openBaton } from './baton.ts';
import { openReader, type ReadTimes } from './reader.ts';
import { openTransformers } from './transformers.ts';
import { openWllama } from './wllama.ts';

declare global {
  interface Window {
    peers: {
      /** Milliseconds from the call to a model that can generate, with what the browser keeps of it. */
      open(subject: Subject, place: Served): Promise<{ loadMs: number; description: string }>;
      turn(turn: Turn): Promise<TurnTimes>;
      openReader(threads: number): Promise<void>;
      read(times: number): Promise<ReadTimes>;
    };
  }
}

/** Where the driver serves a subject's files and how many threads it may use. */
export interface Served {
  url: string;
  threads: number;
  slots: number;
}

let runner: Runner | undefined;
let reader: ((times: number) => Promise<ReadTimes>) | undefined;

window.peers = {
  open: async (subject, served) => {
    const start = performance.now();
    if (subject.runtime === 'baton') runner = await openBaton(subject.target, served);
    else if (subject.runtime === 'wllama') runner = await openWllama(served);
    else if (subject.runtime === 'transformers.js') runner = await openTransformers(subject.type, served);
    else throw new Error(`${subject.runtime} is not for browsers`);
    return { loadMs: performance.now() - start, description: runner.description };
  },
  turn: (turn) => runner!.turn(turn),
  openReader: async (threads) => void (reader = await openReader(threads)),
  read: (times) => reader!(times),
};
