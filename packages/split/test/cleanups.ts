// What a test opened is closed behind it, whether it passed or not.
import { afterEach } from 'vitest';

import { faultServer } from './fault-server.ts';
import type { FaultServer, Script } from './fault-server.ts';

export const cleanups: (() => Promise<void>)[] = [];
afterEach(async () => {
  await Promise.allSettled(cleanups.splice(0).map((clean) => clean()));
});

/** A server that misbehaves as the scripts say, until the end of the test. */
export async function server(...scripts: Script[]): Promise<FaultServer> {
  const made = await faultServer(...scripts);
  cleanups.push(() => made.close());
  return made;
}
