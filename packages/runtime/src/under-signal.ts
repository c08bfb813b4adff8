// Waiting that can be given up, although what is waited for goes on.

/** `work`, or an AbortError as soon as the signal is aborted. */
export async function underSignal<T>(work: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (!signal) return work;
  const { promise: stopped, reject } = Promise.withResolvers<never>();
  const onAbort = (): void => reject(new DOMException('the run was cancelled', 'AbortError'));
  signal.addEventListener('abort', onAbort, { once: true });
  if (signal.aborted) onAbort();
  try {
    return await Promise.race([work, stopped]);
  } finally {
    signal.removeEventListener('abort', onAbort);
  }
}
