// The traces of earlier runs, kept in this browser (IndexedDB) and nowhere else.

import { clear, createStore, delMany, entries, promisifyRequest } from 'idb-keyval';
import type { Trace } from '@baton/split/trace';
import { store, type HistoryEntry } from '../state/app-state.ts';
import { UNFINISHED } from '../trace/notes.ts';
import { runEnded, runsGoingOn } from './runs-going-on.ts';

/** Older traces are dropped; one is some tens of kilobytes. */
const MOST = 100;

const shelf = createStore('baton-history', 'traces');

type Stored = Omit<HistoryEntry, 'key' | 'goesOn'>;

/** Of this page, and not on the shelf: on their way there, or refused by a full or forbidden storage. */
const unkept = new Map<string, HistoryEntry>();

/** Runs in other tabs whose end is waited for. */
const awaited = new Set<string>();

/** Reads the kept traces into the store, newest first: other tabs' as well, so at every look. */
export async function loadHistory(): Promise<void> {
  try {
    const goingOn = await runsGoingOn();
    const kept = await entries<string, Stored>(shelf);
    const history = kept.map(([key, value]) => {
      const goesOn = goingOn.has(key) && value.trace.notes.includes(UNFINISHED);
      return { key, ...value, goesOn };
    });
    for (const { key, goesOn } of history) if (goesOn) void readAtEnd(key);
    const shown = [...unkept.values(), ...history.filter(({ key }) => !unkept.has(key))];
    shown.sort((a, b) => b.key.localeCompare(a.key));
    store.patch({ history: shown });
  } catch {
    // Private windows may forbid storage: the history is then this page's, and nothing else is lost.
  }
}

/** Reads everything again once that run has ended. */
async function readAtEnd(key: string): Promise<void> {
  if (awaited.has(key)) return;
  awaited.add(key);
  await runEnded(key).catch(() => undefined);
  awaited.delete(key);
  await loadHistory();
}

export async function remember(trace: Trace, expected: string | null): Promise<void> {
  const entry: HistoryEntry = { key: trace.startedAt, trace, expected, goesOn: false };
  unkept.set(entry.key, entry);
  const history = [entry, ...store.value.history.filter(({ key }) => key !== entry.key)];
  store.patch({ history: history.slice(0, MOST) });
  if (await keepTrace(trace, expected)) unkept.delete(entry.key);
  const dropped = history.slice(MOST).map(({ key }) => key);
  await delMany(dropped, shelf).catch(() => undefined);
}

/** Puts a trace on the shelf, in the place of an earlier state of the same run. False where storage is forbidden. */
export async function keepTrace(trace: Trace, expected: string | null): Promise<boolean> {
  try {
    await shelf('readwrite', (traces) => {
      traces.put({ trace, expected } satisfies Stored, trace.startedAt);
      // A page that is being closed does not live to see the transaction commit by itself.
      traces.transaction.commit();
      return promisifyRequest(traces.transaction);
    });
    return true;
  } catch {
    // As above: the trace stays in memory until the page closes.
    return false;
  }
}

export async function forgetAll(): Promise<void> {
  unkept.clear();
  store.patch({ history: [] });
  // Other tabs' as well.
  await clear(shelf).catch(() => undefined);
}

/** Shows a kept trace as if it had just been written. */
export function show({ trace, expected }: HistoryEntry): void {
  const { question, prompt, policy, models, segments, notes } = trace;
  store.patch({
    question,
    run: {
      status: 'done',
      live: { question, prompt, policy, models, segments, notes },
      began: 0,
      trace,
      error: null,
      expected,
    },
    selected: null,
    sent: [],
  });
}
