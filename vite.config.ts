// Builds and serves the page. `base: './'` lets the result lie in any folder of any static host; the demo model and its
// problems are copied beside it, so that the page needs nothing from anywhere else.

import { fileURLToPath } from 'node:url';
import { defineConfig } from 'vite';
import { contentPolicy } from './apps/web/build/content-policy.ts';
import { demoFiles } from './apps/web/build/demo-files.ts';
import { offlinePage } from './apps/web/build/offline-page.ts';
import { pageConfig } from './apps/web/build/page-config.ts';

// Shared memory, and with it WASM threads, needs a cross-origin isolated page.
const headers = {
  'Cross-Origin-Opener-Policy': 'same-origin',
  'Cross-Origin-Embedder-Policy': 'require-corp',
};

export default defineConfig({
  root: fileURLToPath(new URL('apps/web', import.meta.url)),
  base: './',
  // A missing file is a 404, as on any static host, not the page again.
  appType: 'mpa',
  plugins: [demoFiles(), pageConfig(), contentPolicy(), offlinePage()],
  worker: { format: 'es' },
  build: {
    outDir: fileURLToPath(new URL('dist', import.meta.url)),
    emptyOutDir: true,
    target: 'esnext',
    // ONNX Runtime's own files are most of it and are fetched only by the target that needs them.
    chunkSizeWarningLimit: 1500,
  },
  server: { headers },
  preview: { headers },
});
