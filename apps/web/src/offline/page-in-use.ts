// Which versions of the page are open in some tab: each holds a lock named after its own script for as long as it lives. The
// browser lets go of it however the page ends.

const PREFIX = 'baton page ';

/** Resolves when this page counts as open. */
export function holdPage(script: string): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  const forEver = new Promise<never>(() => undefined);
  navigator.locks
    .request(PREFIX + script, { mode: 'shared' }, () => {
      resolve();
      return forEver;
    })
    .catch(resolve);
  return promise;
}

/** Scripts of the pages that are open. */
export async function openPages(): Promise<string[]> {
  const { held = [] } = await navigator.locks.query();
  return held.flatMap(({ name = '' }) => (name.startsWith(PREFIX) ? [name.slice(PREFIX.length)] : []));
}
