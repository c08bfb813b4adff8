// An end to waiting for a server that says nothing: a connection that has died on the way breaks no promise of its own, and
// would hold a download for ever.

/** Longer than any pause of a live server, shorter than what a person takes for hanging. */
export const PATIENCE_MS = 30_000;

/** Waits for a promise as long as patience lasts; what has come by then counts. */
export type Wait = <T>(promise: Promise<T>) => Promise<T>;

/**
 * Runs a request under a signal that aborts with `signal`, and when something that the request `wait`s for takes longer than
 * `ms`; then it rejects and says so.
 */
export async function withPatience<T>(
  ms: number,
  signal: AbortSignal | undefined,
  request: (signal: AbortSignal, wait: Wait) => Promise<T>,
): Promise<T> {
  const stalled = new AbortController();
  const wait: Wait = async (promise) => {
    const late = Promise.withResolvers<never>();
    const timer = setTimeout(() => {
      late.reject(new Error(`nothing came for ${ms / 1000} s`));
    }, ms);
    try {
      return await Promise.race([promise, late.promise]);
    } finally {
      clearTimeout(timer);
    }
  };
  try {
    return await request(signal ? AbortSignal.any([signal, stalled.signal]) : stalled.signal, wait);
  } catch (error) {
    // Nobody reads on: the connection is given back.
    stalled.abort();
    throw error;
  }
}
