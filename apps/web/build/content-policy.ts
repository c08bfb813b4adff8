// A Content-Security-Policy for the built page: scripts and styles of its own only, so that nothing a model writes can
// load or run anything. Connections stay open, since the large model may be anywhere.

import type { Plugin } from 'vite';

const POLICY = [
  "default-src 'self'",
  // WebAssembly, and ONNX Runtime's threads, which start from blobs.
  "script-src 'self' 'wasm-unsafe-eval' blob:",
  "worker-src 'self' blob:",
  // KaTeX places its boxes with style attributes.
  "style-src 'self' 'unsafe-inline'",
  "font-src 'self' data:",
  "img-src 'self' data: blob:",
  "connect-src 'self' https: http: data: blob:",
  "object-src 'none'",
  "base-uri 'self'",
].join('; ');

export function contentPolicy(): Plugin {
  return {
    name: 'baton:content-policy',
    apply: 'build',
    transformIndexHtml: () => [
      {
        tag: 'meta',
        attrs: { 'http-equiv': 'Content-Security-Policy', content: POLICY },
        injectTo: 'head-prepend',
      },
    ],
  };
}
