// The traces of earlier runs, kept in this browser (IndexedDB) and nowhere else.

import { createStore, delMany, entries, set } from 'idb-keyval';
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
  const history = [entry, ...store.value.history];
  store.patch({ history: history.slice(0, MOST) });
  try {
    await set(entry.key, { trace, expected } satisfies Stored, shelf);
    await delMany(
      history.slice(MOST).map(({ key }) => key),
      shelf,
    );
  } catch {
    // As above: the trace stays in memory until the page closes.
  }
}

export async function forgetAll(): Promise<void> {
  const keys = store.value.history.map(({ key }) => key);
  store.patch({ history: [] });
  await delMany(keys, shelf).catch(() => undefined);
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
