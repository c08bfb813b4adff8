// A bridge that is killed with SIGKILL while it writes the compile cache, at several moments: the next start finds no
// half-written model, cleans up, and answers as one that was never killed.
import { spawn } from 'node:child_process';
import { mkdtempSync, readdirSync, rmSync, statSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { MANIFEST_FILE } from '@baton/compiler';
import { serve, type Served } from '../support/serve.ts';

const command = fileURLToPath(new URL('../../apps/cli/bin/baton.mjs', import.meta.url));
let scratch: string;
beforeAll(() => {
  scratch = mkdtempSync(path.join(os.tmpdir(), 'baton-killed-'));
});
afterAll(() => rmSync(scratch, { recursive: true, force: true }));

/** Bytes that lie in the compiler's temporary folder; null where there is none. */
function halfWritten(compiled: string): number | null {
  try {
    const folder = readdirSync(compiled).find((name) => name.startsWith('.demo-large-'));
    if (folder === undefined) return null;
    const files = readdirSync(path.join(compiled, folder));
    return files.reduce((sum, name) => sum + statSync(path.join(compiled, folder, name)).size, 0);
  } catch {
    // It went away between two looks.
    return null;
  }
}

/** Starts a server on an empty cache and kills it once `bytes` have been written. Gives what was there at that moment. */
async function kill(cache: string, bytes: number): Promise<number> {
  const child = spawn(
    process.execPath,
    [command, 'serve', '--model', 'demo-large', '--port', '0', '--json'],
    {
      env: { ...process.env, BATON_HOME: path.join(scratch, 'home'), BATON_CACHE: cache },
      stdio: ['ignore', 'pipe', 'ignore'],
    },
  );
  const ended = new Promise((resolve) => child.once('exit', resolve));
  const ready = new AbortController();
  child.stdout.once('data', () => ready.abort());
  const compiled = path.join(cache, 'compiled');
  let seen: number | null = null;
  while (!ready.signal.aborted && (seen === null || seen < bytes)) {
    seen = halfWritten(compiled) ?? (seen === null ? null : Infinity);
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
  child.kill('SIGKILL');
  await ended;
  return seen ?? Infinity;
}

async function answer(server: Served): Promise<unknown> {
  const reply = await fetch(`${server.url}/v1/completions`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ prompt: 'Tom has 3 apples', max_tokens: 12, temperature: 0 }),
  });
  return ((await reply.json()) as { choices: unknown }).choices;
}

const options = ['--no-pairing', '--target', 'ort-cpu'];

test('killed in the middle of writing, a start is as clean as the first one', async () => {
  const whole = await serve(options, 'demo-large', { BATON_CACHE: path.join(scratch, 'never-killed') });
  const wanted = await answer(whole);
  await whole.stop();

  const cache = path.join(scratch, 'killed');
  const compiled = path.join(cache, 'compiled');
  let caught = 0;
  for (const bytes of [0, 2_000_000]) {
    rmSync(compiled, { recursive: true, force: true });
    const seen = await kill(cache, bytes);
    const left = readdirSync(compiled);
    // What has the final name is whole; what is not has another name.
    for (const name of left.filter((one) => one.startsWith('demo-large-') && !one.endsWith('.lock')))
      expect(readdirSync(path.join(compiled, name))).toContain(MANIFEST_FILE);
    if (seen !== Infinity && left.some((name) => name.startsWith('.'))) caught++;

    const again = await serve(options, 'demo-large', { BATON_CACHE: cache });
    expect(await answer(again)).toEqual(wanted);
    await again.stop();
    const after = readdirSync(compiled);
    expect(after.filter((name) => name.startsWith('.') || name.endsWith('.lock'))).toEqual([]);
    expect(after).toHaveLength(1);
  }
  // At least one of the two was really in the middle; both, unless the disk is very fast.
  expect(caught).toBeGreaterThan(0);
}, 240_000);
