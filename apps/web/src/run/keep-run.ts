// The run in progress, kept in the history while it goes on, so that a closed tab loses nothing: what was kept last is its
// trace then. A run that ends has its own trace in that one's place.

import { traceFromEvents, type SolveEvent, type Trace } from '@baton/split';
import { UNFINISHED } from '../trace/notes.ts';
import { keepTrace, remember } from './history.ts';
import { holdRun } from './runs-going-on.ts';

/** A crashed browser tells nobody that it goes; one that closes a page does. */
const EVERY_MS = 1000;

export interface KeptRun {
  add(event: SolveEvent): void;
  /** The run has ended with this trace. */
  finish(trace: Trace): Promise<void>;
  /** What is kept stays as it is. */
  stop(): void;
}

export function keepRun(expected: string | null): KeptRun {
  const events: SolveEvent[] = [];
  let kept = 0;
  let leaving = false;
  let letGo: (() => void) | null = null;
  const keep = (): void => {
    if (leaving || events.length === kept) return;
    kept = events.length;
    const trace = traceFromEvents(events);
    void keepTrace({ ...trace, notes: [...trace.notes, UNFINISHED] }, expected);
  };
  const turn = (event: Event): void => {
    keep();
    // A page that goes has its requests ended by the browser, which is no failure of the large model.
    leaving = event.type === 'pagehide';
  };
  const timer = setInterval(keep, EVERY_MS);
  const ended = new AbortController();
  const { signal } = ended;
  addEventListener('pagehide', turn, { signal });
  addEventListener('pageshow', turn, { signal });
  document.addEventListener('visibilitychange', keep, { signal });
  const rest = (): void => {
    clearInterval(timer);
    ended.abort();
  };
  const stop = (): void => {
    rest();
    letGo?.();
  };
  return {
    add: (event) => {
      // Its prompt is the text so far, over and over, and no part of a trace.
      if (event.type !== 'request') events.push(event);
      if (event.type !== 'start') return;
      letGo = holdRun(event.startedAt);
      keep();
    },
    finish: async (trace) => {
      rest();
      if (!leaving) await remember(trace, expected);
      // Not before its trace can be read.
      stop();
    },
    stop,
  };
}
