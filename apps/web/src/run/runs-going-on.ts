// Which runs go on in some tab: each holds a lock named after its start. The browser lets go of it however the tab ends, so that
// a run that was cut off can be told from one that another tab still shows.

const PREFIX = 'baton run ';

/** Absent where the origin is not secure. */
const locks = (): LockManager | undefined => (navigator as { locks?: LockManager }).locks;

/** From now on the run counts as going on, until what is returned is called or the page ends. */
export function holdRun(startedAt: string): () => void {
  const { promise, resolve } = Promise.withResolvers<void>();
  // A browser that forbids site data refuses locks, too; there is no history then that could tell anything wrong.
  locks()
    ?.request(PREFIX + startedAt, { mode: 'shared' }, () => promise)
    .catch(() => undefined);
  return resolve;
}

/** Starts of the runs that go on in any tab of this browser, this one included. */
export async function runsGoingOn(): Promise<ReadonlySet<string>> {
  const { held = [] } =
    (await locks()
      ?.query()
      .catch(() => undefined)) ?? {};
  return new Set(
    held.flatMap(({ name = '' }) => (name.startsWith(PREFIX) ? [name.slice(PREFIX.length)] : [])),
  );
}

/** Resolves when no tab goes on with that run. */
export async function runEnded(startedAt: string): Promise<void> {
  // Exclusive: granted only when nobody holds it.
  await locks()?.request(PREFIX + startedAt, () => undefined);
}
