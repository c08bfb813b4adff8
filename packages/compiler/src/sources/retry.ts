// Another try for what fails only sometimes: dropped connections, busy servers.
const TRIES = 4;
const FIRST_PAUSE_MS = 250;

/** An HTTP answer that another try will not change. */
export class FinalError extends Error {
  override readonly name = 'FinalError';
}

/** Runs `work` up to four times, pausing 0.25, 0.5 and 1 s, unless it throws a FinalError or `signal` aborts. */
export async function withRetries<T>(work: () => Promise<T>, signal?: AbortSignal): Promise<T> {
  for (let attempt = 1; ; attempt++) {
    signal?.throwIfAborted();
    try {
      return await work();
    } catch (error) {
      if (error instanceof FinalError || attempt === TRIES) throw error;
    }
    await new Promise((resolve) => setTimeout(resolve, FIRST_PAUSE_MS * 2 ** (attempt - 1)));
  }
}
