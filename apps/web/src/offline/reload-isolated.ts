// One reload, on a host that sends no isolating headers, to get the page from the service worker, which adds them.

import { store } from '../state/app-state.ts';

/** In sessionStorage: this tab has reloaded for it, whatever came of that. */
const TRIED = 'baton.reloaded-for-isolation';
/** What somebody who uses the page sets off. */
const USE = ['pointerdown', 'keydown', 'click', 'input'];

/**
 * Where a reload may isolate this page, what does it once a service worker can answer. To be asked before a link in the address has
 * been used up. Reloads at most once in a tab, and not under somebody who uses the page: who has clicked or typed may have a
 * run, a download or a question to lose, and gets an isolated page at the next load.
 */
export function isolation(): (() => Promise<void>) | null {
  // Absent where the browser cannot isolate; inside of another page it depends on that page; a pairing link counts once.
  if (globalThis.crossOriginIsolated !== false || window.parent !== window || location.hash !== '')
    return null;
  let used = false;
  for (const type of USE) addEventListener(type, () => (used = true), { capture: true, once: true });
  return async () => {
    await navigator.serviceWorker.ready;
    if (!used && store.value.run === null && firstTry()) location.reload();
  };
}

function firstTry(): boolean {
  try {
    if (sessionStorage.getItem(TRIED) !== null) return false;
    sessionStorage.setItem(TRIED, 'yes');
    return true;
  } catch {
    // Without a note of it, it could go on for ever.
    return false;
  }
}
