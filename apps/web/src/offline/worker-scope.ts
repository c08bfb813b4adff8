// What the service worker uses of its global scope. TypeScript's own declarations of such a scope and of a page's do not fit into
// one program.

export interface ManifestEntry {
  /** Relative to the worker's script. */
  url: string;
  /** Hash of the content; null where the name holds one. */
  revision: string | null;
}

export interface LastingEvent extends Event {
  waitUntil(work: Promise<unknown>): void;
}

export interface WorkerScope {
  /** Put in by the build (apps/web/build/offline-page.ts). */
  readonly __WB_MANIFEST: readonly ManifestEntry[];
  readonly location: Location;
  readonly registration: ServiceWorkerRegistration;
  readonly clients: { claim(): Promise<void> };
  skipWaiting(): Promise<void>;
  addEventListener(type: 'install' | 'activate' | 'message', listener: (event: LastingEvent) => void): void;
}
