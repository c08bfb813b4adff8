// The paired origins and programs: one file with a hash per token, readable by its owner only, replaced as a whole.
// Another process (baton-bridge revoke) may change it at any time, so it is read again whenever it has changed.
import { randomUUID } from 'node:crypto';
import { mkdirSync, readFileSync, renameSync, statSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { hashOf, newToken, sameSecret } from './secrets.ts';

export interface PairedClient {
  /** Short id for `revoke`. */
  id: string;
  /** The page's origin, or null for a program that is no web page. */
  origin: string | null;
  name: string;
  /** ISO 8601. */
  created: string;
  tokenHash: string;
}

export class TokenStore {
  readonly #file: string;
  #clients: PairedClient[] = [];
  #stamp = '';

  constructor(file: string) {
    this.#file = file;
  }

  /**
   * Makes a token that works for this origin only (null: only for requests that come from no web page). A client may choose its name, and the
   * list goes to a terminal: what could move the cursor, begin a line or turn the reading direction round becomes a space.
   */
  issue(origin: string | null, name: string): string {
    const token = newToken();
    const client: PairedClient = {
      id: randomUUID().slice(0, 8),
      origin,
      name: name.replace(/[\p{C}\p{Zl}\p{Zp}]+/gu, ' ').trim(),
      created: new Date().toISOString(),
      tokenHash: hashOf(token),
    };
    this.#write([...this.list(), client]);
    return token;
  }

  /** The client that this token belongs to. Looks at every one, so that the time tells nothing. */
  find(token: string, origin: string | null): PairedClient | null {
    const hash = hashOf(token);
    let found: PairedClient | null = null;
    for (const client of this.list()) {
      if (sameSecret(client.tokenHash, hash) && client.origin === origin) found = client;
    }
    return found;
  }

  list(): readonly PairedClient[] {
    let stamp = 'none';
    try {
      const { mtimeMs, size, ino } = statSync(this.#file);
      stamp = `${mtimeMs} ${size} ${ino}`;
    } catch {
      this.#clients = [];
    }
    if (stamp !== this.#stamp && stamp !== 'none')
      this.#clients = parse(readFileSync(this.#file, 'utf8'), this.#file);
    this.#stamp = stamp;
    return this.#clients;
  }

  /** Removes clients by id, or by origin, or all with "all"; gives how many. */
  revoke(which: string): number {
    const before = this.list();
    const kept = before.filter((c) => which !== 'all' && c.id !== which && c.origin !== which);
    if (kept.length !== before.length) this.#write(kept);
    return before.length - kept.length;
  }

  #write(clients: readonly PairedClient[]): void {
    mkdirSync(path.dirname(this.#file), { recursive: true, mode: 0o700 });
    const temporary = `${this.#file}.${process.pid}`;
    writeFileSync(temporary, `${JSON.stringify({ schema: 'baton.paired/1', clients }, null, 2)}\n`, {
      mode: 0o600,
    });
    renameSync(temporary, this.#file);
    this.#clients = [...clients];
    this.#stamp = '';
  }
}

function parse(text: string, file: string): PairedClient[] {
  let json: { clients?: unknown };
  try {
    json = JSON.parse(text) as { clients?: unknown };
  } catch (cause) {
    // Locked out is better than let in.
    throw new Error(`${file} is not JSON; delete it and pair again`, { cause });
  }
  if (!Array.isArray(json.clients)) throw new Error(`${file} lists no clients; delete it and pair again`);
  return json.clients.filter(
    (c: Partial<PairedClient>): c is PairedClient =>
      typeof c.id === 'string' &&
      typeof c.tokenHash === 'string' &&
      (c.origin === null || typeof c.origin === 'string'),
  );
}
