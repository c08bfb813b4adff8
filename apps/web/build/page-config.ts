// baton-config.json beside the page: what the server that serves it wants it to know. Empty in a static build; the start
// command fills it through the environment (BATON_ENDPOINT_URL, BATON_ENDPOINT_KIND).

import type { Connect, Plugin } from 'vite';

const NAME = 'baton-config.json';

export function pageConfig(): Plugin {
  const answer: Connect.NextHandleFunction = (request, response, next) => {
    if ((request.url ?? '').split('?')[0] !== `/${NAME}`) {
      next();
      return;
    }
    response.setHeader('content-type', 'application/json');
    response.setHeader('cache-control', 'no-store');
    response.end(JSON.stringify(fromEnvironment()));
  };
  return {
    name: 'baton:page-config',
    generateBundle() {
      this.emitFile({ type: 'asset', fileName: NAME, source: '{}' });
    },
    configureServer: (server) => void server.middlewares.use(answer),
    configurePreviewServer: (server) => void server.middlewares.use(answer),
  };
}

function fromEnvironment(): object {
  const url = process.env.BATON_ENDPOINT_URL;
  if (!url) return {};
  return { endpoint: { url, kind: process.env.BATON_ENDPOINT_KIND ?? 'auto' } };
}
