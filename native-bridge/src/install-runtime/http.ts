// HTTP for downloads: through the person's proxy, with time limits on silence and none on the whole, and never from https
// down to http.
import { EnvHttpProxyAgent, fetch, type Response } from 'undici';

/** A server that is silent for so long is taken for gone. */
const SILENCE_MS = 60_000;
const REDIRECTS = 5;

export interface Connection {
  /** Throws with one line on any status but those accepted, and on a redirect away from https. */
  get(
    url: string,
    headers?: Readonly<Record<string, string>>,
    accepted?: readonly number[],
  ): Promise<Response>;
  close(): Promise<void>;
}

/** Proxies as curl and npm have them: HTTPS_PROXY, HTTP_PROXY, NO_PROXY in either case, then npm's own settings. */
export function connection(env: NodeJS.ProcessEnv = process.env): Connection {
  const first = (...names: string[]): string | undefined => names.map((n) => env[n]).find((value) => value);
  const http = first('http_proxy', 'HTTP_PROXY', 'npm_config_proxy');
  const https = first('https_proxy', 'HTTPS_PROXY', 'npm_config_https_proxy', 'npm_config_proxy') ?? http;
  const agent = new EnvHttpProxyAgent({
    ...(http ? { httpProxy: http } : {}),
    ...(https ? { httpsProxy: https } : {}),
    noProxy: first('no_proxy', 'NO_PROXY', 'npm_config_noproxy') ?? '',
    headersTimeout: SILENCE_MS,
    bodyTimeout: SILENCE_MS,
    connectTimeout: SILENCE_MS / 2,
  });
  return {
    get: async (url, headers = {}, accepted = [200]) => {
      let at = url;
      for (let hop = 0; hop <= REDIRECTS; hop++) {
        const response = await fetch(at, { dispatcher: agent, headers, redirect: 'manual' }).catch(
          (error: unknown) => {
            throw new Error(`${new URL(at).host} cannot be reached: ${reason(error)}`, { cause: error });
          },
        );
        const to = response.headers.get('location');
        if (response.status >= 300 && response.status < 400 && to !== null) {
          await response.body?.cancel();
          const next = new URL(to, at);
          if (new URL(at).protocol === 'https:' && next.protocol !== 'https:')
            throw new Error(`${at} leads away from https, to ${next.href}`);
          at = next.href;
          continue;
        }
        if (!accepted.includes(response.status)) {
          await response.body?.cancel();
          throw new HttpError(
            response.status,
            `${at} answers ${response.status} ${response.statusText}`.trim(),
          );
        }
        return response;
      }
      throw new Error(`${url} is redirected more than ${REDIRECTS} times`);
    },
    close: () => agent.close(),
  };
}

export class HttpError extends Error {
  override readonly name = 'HttpError';
  readonly status: number;
  constructor(status: number, message: string) {
    super(message);
    this.status = status;
  }
}

/** fetch says only "fetch failed"; why is in the cause. */
export function reason(error: unknown): string {
  const inner = error instanceof Error && error.cause instanceof Error ? error.cause : error;
  if (!(inner instanceof Error)) return String(inner);
  return inner.message || (inner as NodeJS.ErrnoException).code || inner.name;
}
