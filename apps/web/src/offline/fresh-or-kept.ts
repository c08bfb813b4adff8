// The server's answer while there is one, the kept copy otherwise.

/** Short, for a person waits; a server that takes longer is as good as none. */
const PATIENCE_MS = 3000;

/** Rejects as `fetch` does where there is no kept copy either. */
export async function freshOrKept(
  request: Request,
  kept: () => Promise<Response | undefined>,
): Promise<Response> {
  // Not out of the browser's own cache either: GitHub Pages lets it keep a document for ten minutes.
  const fresh = fetch(request, { cache: 'no-cache' });
  const late = new Promise<undefined>((done) => setTimeout(done, PATIENCE_MS));
  const answer = await Promise.race([fresh.catch(() => undefined), late]);
  if (answer && answer.status < 500) return answer;
  return (await kept()) ?? fresh;
}
