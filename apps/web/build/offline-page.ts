// Makes the built page an installable one: its web app manifest, and its service worker (apps/web/src/offline) with the list of
// what the page consists of. The development server has neither.

import type { Plugin, PluginOption } from 'vite';
import { VitePWA } from 'vite-plugin-pwa';

export function offlinePage(): PluginOption[] {
  return [
    built(),
    VitePWA({
      strategies: 'injectManifest',
      srcDir: 'src/offline',
      filename: 'service-worker.ts',
      // The page registers it itself, in its own time.
      injectRegister: false,
      includeManifestIcons: false,
      integration: {
        configureCustomSWViteBuild: (config) => void (config.logLevel = 'warn'),
      },
      manifest: {
        name: 'Baton',
        short_name: 'Baton',
        description:
          'A small model reasons on your own machine and hands the hard stretches to a large one. Watch who writes what.',
        display: 'standalone',
        background_color: '#fbfbfa',
        theme_color: '#fbfbfa',
        categories: ['productivity', 'utilities'],
        icons: [
          { src: 'icon.svg', sizes: 'any', type: 'image/svg+xml' },
          { src: 'icon-192.png', sizes: '192x192', type: 'image/png' },
          { src: 'icon-512.png', sizes: '512x512', type: 'image/png' },
          { src: 'icon-maskable-512.png', sizes: '512x512', type: 'image/png', purpose: 'maskable' },
        ],
      },
      injectManifest: {
        rollupFormat: 'iife',
        // Every browser that runs the page reads WOFF2; KaTeX's style sheet names two older formats after it.
        globPatterns: ['**/*.{html,js,mjs,css,woff2,wasm,json,svg,png}'],
        // The runtime's own store keeps models, and reads them by ranges.
        globIgnores: ['models/**', 'service-worker.js'],
        // ONNX Runtime is in the list for the worker to know its files, not to fetch them before their use.
        maximumFileSizeToCacheInBytes: 2 ** 26,
      },
    }),
  ];
}

/** Tells the page that there is a worker beside it. Vite's own PROD follows NODE_ENV instead. */
function built(): Plugin {
  return {
    name: 'baton:built',
    config: (_config, { command }) => ({
      define: { 'import.meta.env.BATON_BUILT': JSON.stringify(command === 'build') },
    }),
  };
}
