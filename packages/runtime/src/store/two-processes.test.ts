// Two processes and one store on disk: they download the same model, or compile the same checkpoint, at the same time; one
// is killed while it holds the lock. Real processes, a real HTTP server.
import { fork, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { createReadStream } from 'node:fs';
import { mkdtemp, readdir, readFile, rm, stat } from 'node:fs/promises';
import http from 'node:http';
import type { AddressInfo } from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { compileDirectory } from '@baton/compiler/node';
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest';

const fixtures = fileURLToPath(new URL('../../test/fixtures/', import.meta.url));
const script = fileURLToPath(new URL('../../test/processes/keep.ts', import.meta.url));
let folder: string;
let cache: string;
let server: http.Server;
let base: string;
/** Requests for the weights. */
let fetched: number;
/** Called before the weights are answered; may keep the answer back. */
let hold: () => Promise<void> = async () => undefined;
const running: ChildProcess[] = [];

beforeAll(async () => {
  folder = await mkdtemp(path.join(os.tmpdir(), 'baton-two-'));
  await compileDirectory(path.join(fixtures, 'tiny'), path.join(folder, 'model'), { context: 64, chunk: 16 });
  server = http.createServer((request, response) => {
    const file = path.join(folder, 'model', path.basename(request.url!));
    void (async () => {
      const { size } = await stat(file);
      if (file.endsWith('weights.bin')) {
        fetched++;
        await hold();
      }
      response.writeHead(200, { 'Content-Length': size });
      createReadStream(file).pipe(response);
    })();
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  base = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
});
afterAll(async () => {
  server.closeAllConnections();
  server.close();
  await rm(folder, { recursive: true, force: true });
});
beforeEach(async () => {
  cache = await mkdtemp(path.join(folder, 'cache-'));
  fetched = 0;
  hold = async () => undefined;
});
afterEach(() => {
  for (const child of running.splice(0)) child.kill('SIGKILL');
});

interface Kept {
  /** SHA-256 of the weights that the process reads when it is done. */
  weights: string;
  manifest: string;
}

/** Starts a process that keeps `what` in the shared cache. */
function start(kind: 'download' | 'compile', what: string): { child: ChildProcess; kept: Promise<Kept> } {
  const child = fork(script, [kind, what], { env: { ...process.env, BATON_CACHE: cache }, stdio: 'pipe' });
  running.push(child);
  let said = '';
  child.stderr!.on('data', (part: Buffer) => (said += part.toString()));
  const kept = (async () => {
    const answer = once(child, 'message') as Promise<[Kept]>;
    const left = once(child, 'exit').then(() =>
      Promise.reject(new Error(said || 'it ended without an answer')),
    );
    const [message] = await Promise.race([answer, left]);
    return message;
  })();
  kept.catch(() => undefined);
  return { child, kept };
}

const expected = async (): Promise<string> => {
  const text = await readFile(path.join(folder, 'model', 'baton.json'), 'utf8');
  const { files } = JSON.parse(text) as { files: { path: string; sha256: string }[] };
  return files.find((f) => f.path === 'weights.bin')!.sha256;
};
/** What is in the cache beside whole models: half-written files and locks. */
const remains = async (): Promise<string[]> =>
  (await readdir(cache, { recursive: true })).filter((name) =>
    /\.(part|tmp|lock)$|(^|\/)\.[^/]+$/.test(name),
  );

test('two processes that download the same model at once fetch it once', async () => {
  const both = [start('download', base), start('download', base)];
  const [a, b] = await Promise.all(both.map((one) => one.kept));
  expect(a).toEqual(b);
  expect(a!.weights).toBe(await expected());
  expect(fetched).toBe(1);
  expect(await remains()).toEqual([]);
});

test('two processes that compile the same checkpoint at once get the same whole model', async () => {
  const both = [start('compile', path.join(fixtures, 'tiny')), start('compile', path.join(fixtures, 'tiny'))];
  const [a, b] = await Promise.all(both.map((one) => one.kept));
  expect(a).toEqual(b);
  expect(await readdir(path.join(cache, 'compiled'))).toHaveLength(1);
  expect(await remains()).toEqual([]);
});

test('a process killed while it downloads leaves a lock that the next one takes over, and nothing corrupt', async () => {
  const reached = Promise.withResolvers<void>();
  const forever = Promise.withResolvers<void>();
  hold = () => {
    reached.resolve();
    return forever.promise;
  };
  const first = start('download', base);
  await Promise.race([reached.promise, first.kept]);
  expect(await remains()).toContainEqual(expect.stringMatching(/\.lock$/));
  // One that waits for the lock, and one that comes when its owner is dead.
  const waiting = start('download', base);
  hold = async () => undefined;
  first.child.kill('SIGKILL');
  await once(first.child, 'exit');
  const late = start('download', base);
  const [a, b] = await Promise.all([waiting.kept, late.kept]);
  expect(a).toEqual(b);
  expect(a.weights).toBe(await expected());
  expect(fetched).toBe(2);
  expect(await remains()).toEqual([]);
  forever.resolve();
});

test('a process killed while it compiles leaves nothing that the next one would take for a model', async () => {
  const first = start('compile', path.join(fixtures, 'tiny'));
  const lockHeld = async (): Promise<boolean> => (await remains()).some((name) => name.endsWith('.lock'));
  while (!(await lockHeld())) {
    if (first.child.exitCode !== null) throw new Error('it ended before it was killed');
    await new Promise((done) => setTimeout(done, 1));
  }
  first.child.kill('SIGKILL');
  await once(first.child, 'exit');
  const { weights } = await start('compile', path.join(fixtures, 'tiny')).kept;
  expect(weights).toMatch(/^[0-9a-f]{64}$/);
  expect(await remains()).toEqual([]);
});
