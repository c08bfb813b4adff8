// The traces of earlier runs, kept in this browser (IndexedDB) and nowhere else.

import { clear, createStore, delMany, entries, promisifyRequest } from 'idb-keyval';
import type { Trace } from '@baton/split/trace';
import { store, type HistoryEntry } from '../state/app-state.ts';

/** Older traces are dropped; one is some tens of kilobytes. */
const MOST = 100;

const shelf = createStore('baton-history', 'traces');

type Stored = Omit<HistoryEntry, 'key'>;

/** Reads the kept traces into the store, newest first. */
export async function loadHistory(): Promise<void> {
  try {
    const kept = await entries<string, Stored>(shelf);
    const history = kept.map(([key, value]) => ({ key, ...value }));
    history.sort((a, b) => b.key.localeCompare(a.key));
    store.patch({ history });
  } catch {
    // Private windows may forbid storage: the history is then empty and nothing else is lost.
  }
}

export async function remember(trace: Trace, expected: string | null): Promise<void> {
  const entry: HistoryEntry = { key: trace.startedAt, trace, expected };
  const history = [entry, ...store.value.history.filter(({ key }) => key !== entry.key)];
  store.patch({ history: history.slice(0, MOST) });
  await keepTrace(trace, expected);
  const dropped = history.slice(MOST).map(({ key }) => key);
  await delMany(dropped, shelf).catch(() => undefined);
}

/** Puts a trace on the shelf, in the place of an earlier state of the same run. Where storage is forbidden, it does nothing. */
export async function keepTrace(trace: Trace, expected: string | null): Promise<void> {
  try {
    await shelf('readwrite', (traces) => {
      traces.put({ trace, expected } satisfies Stored, trace.startedAt);
      // A page that is being closed does not live to see the transaction commit by itself.
      traces.transaction.commit();
      return promisifyRequest(traces.transaction);
    });
  } catch {
    // As above: the trace stays in memory until the page closes.
  }
}

export async function forgetAll(): Promise<void> {
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
