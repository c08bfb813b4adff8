// The headers that make a page cross-origin isolated, for hosts that cannot send them (GitHub Pages): shared memory, and with it
// WASM threads, needs them on the page and on the scripts of its workers.

const COOP = 'Cross-Origin-Opener-Policy';
const COEP = 'Cross-Origin-Embedder-Policy';

/** The same answer with both headers; as it is where its host has decided, or where nothing can be added. */
export function isolated(response: Response): Response {
  const { status, statusText, headers: sent } = response;
  // A redirect or an error as a worker sees it: it must reach the browser unread.
  if (status === 0 || sent.has(COOP) || sent.has(COEP)) return response;
  const headers = new Headers(sent);
  headers.set(COOP, 'same-origin');
  headers.set(COEP, 'require-corp');
  return new Response(response.body, { status, statusText, headers });
}
