// The page's side of the service worker. There is none in the development server, nor where the origin is not secure or the
// browser refuses; the page is then as any other that needs its server.

import { holdPage } from './page-in-use.ts';
import { isolation } from './reload-isolated.ts';

/** Beside the page; apps/web/build/offline-page.ts names it. */
const WORKER = 'service-worker.js';

declare global {
  interface ImportMetaEnv {
    /** In the finished page only (apps/web/build/offline-page.ts). */
    readonly BATON_BUILT?: boolean;
  }
  interface ImportMeta {
    readonly env: ImportMetaEnv;
  }
}

/** Once, when the page starts. `script`: the address of the page's own script, which tells its version. */
export function goOffline(script: string): void {
  if (!import.meta.env.BATON_BUILT || !('serviceWorker' in navigator)) return;
  const isolate = isolation();
  const start = async (): Promise<void> => {
    await holdPage(script);
    const { installing, waiting } = await navigator.serviceWorker.register(new URL(WORKER, document.baseURI));
    // What an old worker is asked to do while its successor comes in can keep that one waiting (Chromium 147).
    if (!installing && !waiting) navigator.serviceWorker.controller?.postMessage('opened');
    await isolate?.();
  };
  const go = (): void => void start().catch(() => undefined);
  // What the page itself needs comes first.
  if (document.readyState === 'complete') go();
  else addEventListener('load', go, { once: true });
}
