// Finding the bridge and pairing with it, from a page's window: the first request is what makes a browser ask the person
// for access to this machine (Local Network Access), so nothing here is called before the person has agreed.

/** What a page can learn of a bridge without a token. */
export type BridgeState =
  | { found: true; pairing: 'required' | 'off' }
  | { found: false; reason: 'absent' | 'refused' | 'blocked' | 'foreign' };

const LOOPBACK: ReadonlySet<string> = new Set(['127.0.0.1', 'localhost', '[::1]']);

/** Fetch's option for requests to this machine (Local Network Access, W3C WICG), which TypeScript's DOM types lack. */
type LocalInit = RequestInit & { targetAddressSpace?: 'loopback' };

/**
 * Asks whether a bridge answers at `url`. "blocked": the browser's own permission is denied; "refused": the bridge does
 * not list this page; "foreign": something else answers there.
 */
export async function askBridge(url: string, ask: typeof fetch = fetch): Promise<BridgeState> {
  if ((await permission()) === 'denied') return { found: false, reason: 'blocked' };
  let reply: Response;
  try {
    reply = await ask(`${originOf(url)}/health`, local({ signal: AbortSignal.timeout(60_000) }));
  } catch {
    if ((await permission()) === 'denied') return { found: false, reason: 'blocked' };
    // A page may not see why a request failed: with no-cors it at least learns whether anything listens there.
    const listens = await ask(`${originOf(url)}/health`, local({ mode: 'no-cors' })).then(
      () => true,
      () => false,
    );
    return { found: false, reason: listens ? 'refused' : 'absent' };
  }
  const body = (await reply.json().catch(() => null)) as { protocol?: unknown; pairing?: unknown } | null;
  if (typeof body?.protocol !== 'string' || !body.protocol.startsWith('baton-bridge/'))
    return { found: false, reason: 'foreign' };
  return { found: true, pairing: body.pairing === 'off' ? 'off' : 'required' };
}

/** Whether the page may ask at `url` without the browser asking the person first. */
export async function asksQuietly(url: string): Promise<boolean> {
  const { origin, hostname } = globalThis.location;
  // The bridge's own page, and pages from this machine, are not restricted.
  if (originOf(url) === origin || LOOPBACK.has(hostname)) return true;
  const state = await permission();
  return state === 'granted' || state === null;
}

/** Exchanges the one-time code for this page's token. Throws with the bridge's own words. */
export async function pairWithBridge(
  url: string,
  code: string,
  name: string,
  ask: typeof fetch = fetch,
): Promise<string> {
  const reply = await ask(
    `${originOf(url)}/pair`,
    local({
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ code, name }),
    }),
  );
  const body = (await reply.json().catch(() => ({}))) as { token?: unknown; error?: { message?: string } };
  if (reply.ok && typeof body.token === 'string') return body.token;
  throw new Error(body.error?.message ?? `the bridge answered ${reply.status}`);
}

function local(init: LocalInit): RequestInit {
  return { ...init, targetAddressSpace: 'loopback' } as RequestInit;
}

function originOf(url: string): string {
  return new URL(url).origin;
}

/** The browser's permission for requests to this machine, by its newer and its older name; null where it has none. */
async function permission(): Promise<PermissionState | null> {
  for (const name of ['loopback-network', 'local-network-access']) {
    try {
      return (await navigator.permissions.query({ name: name as PermissionName })).state;
    } catch {
      // This browser does not know the name.
    }
  }
  return null;
}
