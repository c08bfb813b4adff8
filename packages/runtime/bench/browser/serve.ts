// Serves the bench page for a person's own browser, with the headers that allow threads.
import { fileURLToPath } from 'node:url';

/** Resolves with the page's address; the server runs until the process ends. */
export async function serveBenchPage(port: number): Promise<string> {
  const { createServer } = await import('vite');
  const server = await createServer({
    root: fileURLToPath(new URL('.', import.meta.url)),
    configFile: false,
    logLevel: 'error',
    worker: { format: 'es' },
    // The page reads sources of the whole package, above its own folder.
    server: {
      port,
      strictPort: true,
      host: '127.0.0.1',
      fs: { allow: [fileURLToPath(new URL('../../../..', import.meta.url))] },
      headers: {
        'Cross-Origin-Opener-Policy': 'same-origin',
        'Cross-Origin-Embedder-Policy': 'require-corp',
      },
    },
  });
  await server.listen();
  return `http://127.0.0.1:${port}/`;
}
