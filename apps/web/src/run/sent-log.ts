// Records every request on its way to the large model, so that the page can show exactly what left it. The key itself is
// the one thing not recorded.

import { store, type SentRequest } from '../state/app-state.ts';

/** `fetch`, with a record of what it sends. */
export const recordingFetch: typeof fetch = async (input, init = {}) => {
  const entry: SentRequest = {
    at: Date.now(),
    method: init.method ?? 'GET',
    url: input instanceof Request ? input.url : String(input),
    headers: [...new Headers(init.headers)].map(([name, value]) =>
      name === 'authorization' ? [name, 'Bearer (your key)'] : [name, value],
    ),
    body: typeof init.body === 'string' ? init.body : '',
    outcome: null,
  };
  store.patch({ sent: [...store.value.sent, entry] });
  const settle = (outcome: string): void => {
    const { sent } = store.value;
    store.patch({ sent: sent.map((one) => (one === entry ? { ...one, outcome } : one)) });
  };
  try {
    const response = await fetch(input, init);
    settle(`${response.status} ${response.statusText}`.trim());
    return response;
  } catch (error) {
    settle(init.signal?.aborted ? 'cancelled' : 'no answer');
    throw error;
  }
};

/** The body as a person reads it: indented JSON, or as it is. */
export function readableBody(body: string): string {
  try {
    return JSON.stringify(JSON.parse(body), null, 2);
  } catch {
    return body;
  }
}
