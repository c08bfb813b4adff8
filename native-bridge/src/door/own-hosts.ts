// What the Host header may say: the names of the address that the bridge listens on, and never one that it was not started
// for, since any name can be made to lead here (DNS rebinding).
import os from 'node:os';

const LOOPBACK: ReadonlySet<string> = new Set(['127.0.0.1', '::1', 'localhost']);
/** Every address of this machine; for the second, IPv4's as well. */
const ANY: ReadonlySet<string> = new Set(['0.0.0.0', '::']);

export function isLoopback(host: string): boolean {
  return LOOPBACK.has(host);
}

/** `host` in small letters, as are the hosts. */
export function ownHosts(host: string, port: number): ReadonlySet<string> {
  const names = namesOf(host).map((name) => (name.includes(':') ? `[${name}]` : name));
  // Clients leave HTTP's own port out.
  return new Set(names.flatMap((name) => [`${name}:${port}`, ...(port === 80 ? [name] : [])]));
}

function namesOf(host: string): string[] {
  if (isLoopback(host)) return [...LOOPBACK];
  if (!ANY.has(host)) return [host];
  // Asked each time: a network may come and go while the bridge runs.
  const addresses = Object.values(os.networkInterfaces()).flatMap((all) => all ?? []);
  return [host, ...LOOPBACK, os.hostname().toLowerCase(), ...addresses.map(({ address }) => address)];
}
