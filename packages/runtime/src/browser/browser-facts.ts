// Facts kept in IndexedDB, which pages and workers share. Where the browser gives none (private windows), they last as
// long as the page.

import { memoryFacts, type Facts } from '../facts.ts';

const DATABASE = 'baton';
const STORE = 'facts';

export function browserFacts(): Facts {
  const fallback = memoryFacts();
  let opening: Promise<IDBDatabase> | undefined;
  const database = (): Promise<IDBDatabase> => (opening ??= open());
  return {
    get: (key) =>
      request(database, 'readonly', (store) => store.get(key) as IDBRequest<unknown>).catch(() =>
        fallback.get(key),
      ),
    set: async (key, value) => {
      await request(database, 'readwrite', (store) => store.put(value, key)).catch(() =>
        fallback.set(key, value),
      );
    },
  };
}

function open(): Promise<IDBDatabase> {
  const opening = indexedDB.open(DATABASE, 1);
  opening.addEventListener('upgradeneeded', () => opening.result.createObjectStore(STORE));
  return settled(opening);
}

async function request<T>(
  database: () => Promise<IDBDatabase>,
  mode: IDBTransactionMode,
  work: (store: IDBObjectStore) => IDBRequest<T>,
): Promise<T> {
  const store = (await database()).transaction(STORE, mode).objectStore(STORE);
  return settled(work(store));
}

function settled<T>(request: IDBRequest<T>): Promise<T> {
  const { promise, resolve, reject } = Promise.withResolvers<T>();
  request.addEventListener('success', () => resolve(request.result));
  request.addEventListener('error', () => reject(request.error ?? new Error('IndexedDB failed')));
  return promise;
}
