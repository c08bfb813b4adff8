// Removes what older versions of the page have left in the browser's caches, once no tab shows them any more.

import { openPages } from './page-in-use.ts';
import type { WorkerScope } from './worker-scope.ts';

export interface Caches {
  /** What the names of all versions' caches begin with. */
  prefix: string;
  /** This version's. */
  own: string;
  /** Of files kept at first use, shared by the versions, and which of them this version has. */
  atFirstUse: { name: string; urls: ReadonlySet<string> };
}

export async function removeUnused(
  { prefix, own, atFirstUse }: Caches,
  { registration }: WorkerScope,
): Promise<void> {
  const others = (await caches.keys()).filter((name) => name.startsWith(prefix) && name !== own);
  // A newer version is being put into one of them.
  if (registration.installing || registration.waiting) return;
  const pages = await openPages();
  let older = 0;
  for (const name of others) {
    const cache = await caches.open(name);
    const shown = await Promise.all(pages.map((script) => cache.match(script)));
    if (shown.some(Boolean)) older++;
    else await caches.delete(name);
  }
  if (older > 0) return;
  const shared = await caches.open(atFirstUse.name);
  for (const { url } of await shared.keys()) if (!atFirstUse.urls.has(url)) await shared.delete(url);
}
