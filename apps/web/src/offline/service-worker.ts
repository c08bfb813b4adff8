// The page without its server, and isolated on hosts that cannot send the headers. Everything that is not a file of the built page
// goes past it: models (the runtime's store keeps them), every API, every other origin.
//
// How versions change: the document comes from the server while there is one, so that a load shows what is published; the files
// it names have a hash in their names, so that whichever version it is of, it gets its own. A new worker stores its version in
// a cache of its own and takes over at once, so that none can be stuck waiting; it answers pages of older versions out of
// their caches, which are removed when no tab shows them any more.

import { PrecacheController, PrecacheRoute } from 'workbox-precaching';
import { registerRoute } from 'workbox-routing';
import { freshOrKept } from './fresh-or-kept.ts';
import { isolated } from './isolated.ts';
import { removeUnused } from './remove-unused.ts';
import type { LastingEvent, WorkerScope } from './worker-scope.ts';

declare const self: WorkerScope;

/** ONNX Runtime: up to 27 MB for each of three builds, of which a browser uses one or none. */
const AT_FIRST_USE = /^assets\/ort[.-]/;
/** These may change with the server that the page comes from, or from one publication to the next under the same name. */
const FRESH: ReadonlySet<string> = new Set(['', 'index.html', 'baton-config.json', 'problems.json']);
/** What the browser asks both headers of. */
const ISOLATED: ReadonlySet<string> = new Set(['document', 'script', 'worker', 'sharedworker']);

const scope = new URL(self.registration.scope);
const files = self.__WB_MANIFEST;
const now = files.filter(({ url }) => !AT_FIRST_USE.test(url));
const later = files.filter(({ url }) => AT_FIRST_USE.test(url));

// Caches belong to the origin, where a static host may have several pages. The document names everything else by its hash.
const prefix = `baton-page ${scope.pathname} `;
const own = prefix + now.find(({ url }) => url === 'index.html')?.revision;
const atFirstUse = {
  name: `baton-runtimes ${scope.pathname}`,
  urls: new Set(later.map(({ url }) => new URL(url, self.location.href).href)),
};

const precache = new PrecacheController({ cacheName: own });
precache.precache([...now]);

const clean = (): Promise<void> => removeUnused({ prefix, own, atFirstUse }, self);

self.addEventListener('install', (event) => event.waitUntil(self.skipWaiting()));
// The page that registered this worker may need a runtime yet, which it can then keep.
self.addEventListener('activate', (event) => event.waitUntil(self.clients.claim().then(clean)));
// A page has opened; what it replaced may be closed.
self.addEventListener('message', (event) => event.waitUntil(clean()));

/** A file's name below the page's folder; null for what is elsewhere. */
function nameOf({ origin, pathname }: URL): string | null {
  return origin === scope.origin && pathname.startsWith(scope.pathname)
    ? pathname.slice(scope.pathname.length)
    : null;
}

registerRoute(
  ({ url }) => FRESH.has(nameOf(url) ?? 'elsewhere'),
  async ({ request, url }) => {
    const name = nameOf(url);
    const answer = await freshOrKept(request, () => precache.matchPrecache(name || 'index.html'));
    return ISOLATED.has(request.destination) ? isolated(answer) : answer;
  },
);

registerRoute(
  ({ url }) => nameOf(url)?.startsWith('assets/'),
  async ({ request, url, event }) => {
    const answer = await asset(request, url, event as LastingEvent);
    return ISOLATED.has(request.destination) ? isolated(answer) : answer;
  },
);

/** Out of this version's cache, an older one's, or that of the files kept at first use. */
async function asset(request: Request, { href }: URL, event: LastingEvent): Promise<Response> {
  // Its own first: Chromium keeps the compiled form of a script beside the file it came from, some time later, and would make a
  // cache anew for that which has been removed meanwhile.
  const kept =
    (await caches.match(href, { ignoreVary: true, cacheName: own })) ??
    (await caches.match(href, { ignoreVary: true }));
  if (kept) return kept;
  const answer = await fetch(request);
  if (answer.ok && atFirstUse.urls.has(href)) {
    const copy = answer.clone();
    const keep = async (): Promise<void> => (await caches.open(atFirstUse.name)).put(href, copy);
    // A full disk must not stop the page.
    event.waitUntil(keep().catch(() => undefined));
  }
  return answer;
}

// The rest: icons, the web app manifest.
registerRoute(new PrecacheRoute(precache, { cleanURLs: false }));
