// The model store on disk against a real HTTP server that cuts connections, ignores ranges, serves wrong bytes and goes
// away. The browser's store runs the same code over OPFS (test/browser/store.test.ts).
import { mkdir, mkdtemp, readdir, readFile, rm, truncate, writeFile } from 'node:fs/promises';
import { createReadStream, readFileSync } from 'node:fs';
import http from 'node:http';
import type { AddressInfo } from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { MANIFEST_FILE, parseManifest, type Manifest } from '@baton/compiler';
import { compileDirectory } from '@baton/compiler/node';
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import { diskFolder, nodeTargets, withLock } from '../node/index.ts';
import { openModel } from '../open-model.ts';
import type { StoreFolder } from './folder.ts';
import { ModelStore, type DownloadProgress } from './model-store.ts';

let scratch: string;
let source: string;
let manifest: Manifest;
let server: http.Server;
let base: string;
/** What the server does to one request; reset before each test. */
let behave: (file: string, from: number, response: http.ServerResponse) => boolean;
let served: { file: string; from: number; bytes: number }[];

beforeAll(async () => {
  scratch = await mkdtemp(path.join(os.tmpdir(), 'baton-store-'));
  source = path.join(scratch, 'source');
  await compileDirectory(fileURLToPath(new URL('../../test/fixtures/tiny', import.meta.url)), source, {
    context: 64,
    chunk: 16,
  });
  manifest = parseManifest(readFileSync(path.join(source, MANIFEST_FILE), 'utf8'));
  server = http.createServer((request, response) => {
    const file = request.url!.slice(1);
    const from = Number(/bytes=(\d+)-/.exec(request.headers.range ?? '')?.[1] ?? 0);
    const bytes = (() => {
      try {
        return readFileSync(path.join(source, file)).length;
      } catch {
        return -1;
      }
    })();
    served.push({ file, from, bytes });
    if (bytes < 0) return void response.writeHead(404).end();
    if (behave(file, from, response)) return;
    response.writeHead(request.headers.range ? 206 : 200, { 'Content-Length': bytes - from });
    createReadStream(path.join(source, file), { start: from }).pipe(response);
  });
  await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening));
  base = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
});
afterAll(async () => {
  server.closeAllConnections();
  await new Promise((done) => server.close(done));
  await rm(scratch, { recursive: true, force: true });
});

let root: string;
let folder: StoreFolder;
let store: ModelStore;
beforeEach(async () => {
  served = [];
  behave = () => false;
  root = await mkdtemp(path.join(scratch, 'store-'));
  folder = diskFolder(root);
  store = new ModelStore(folder);
});
afterEach(async () => rm(root, { recursive: true, force: true }));

const weights = (): { path: string; bytes: number } =>
  manifest.files.toSorted((a, b) => b.bytes - a.bytes)[0]!;
const fast = { pauseMs: 1 };

/** Sends the first `bytes` of what was asked for, then breaks the connection. */
function cut(file: string, from: number, response: http.ServerResponse, bytes: number): true {
  const all = readFileSync(path.join(source, file));
  response.writeHead(from > 0 ? 206 : 200, { 'Content-Length': all.length - from });
  response.write(all.subarray(from, from + bytes), () => response.destroy());
  return true;
}

test('downloads, checks, reports, and the model runs from the store', async () => {
  const progress: DownloadProgress[] = [];
  const files = await store.download(base, { onProgress: (p) => progress.push(p) });
  const total = manifest.files.reduce((n, f) => n + f.bytes, 0);
  expect(progress.at(-1)).toMatchObject({ done: total, total });
  expect(progress.map((p) => p.done)).toEqual(progress.map((p) => p.done).toSorted((a, b) => a - b));
  const model = await openModel(files, { targets: nodeTargets(), target: 'ort-cpu' });
  expect(model.id).toBe('tiny');
  await model.close();
  expect(await store.list()).toEqual([expect.objectContaining({ id: 'tiny', complete: true, source: base })]);
});

test('a second download asks for baton.json only, and without a connection the stored model is found', async () => {
  await store.download(base);
  served = [];
  await store.download(base);
  expect(served.map((s) => s.file)).toEqual([MANIFEST_FILE]);
  const gone = 'http://127.0.0.1:9/';
  await expect(store.download(gone)).rejects.toThrow(/cannot be reached/);
  const [stored] = await store.list();
  await folder.writeWhole(
    `${stored!.name}/source.json`,
    new TextEncoder().encode(JSON.stringify({ source: gone })),
  );
  const files = await store.download(gone);
  expect(await files.size(weights().path)).toBe(weights().bytes);
});

test('a connection that keeps breaking is taken up again where it broke', async () => {
  const { path: file, bytes } = weights();
  const step = Math.ceil(bytes / 7);
  behave = (f, from, response) =>
    f === file ? (from + step < bytes ? cut(f, from, response, step) : false) : false;
  await store.download(base, fast);
  const starts = served.filter((s) => s.file === file).map((s) => s.from);
  expect(starts.length).toBeGreaterThan(3);
  expect(starts).toEqual(starts.toSorted((a, b) => a - b));
  expect(new Set(starts).size).toBe(starts.length);
});

test('a server that stops sending without closing is given up, and the download goes on where it stopped', async () => {
  const { path: file, bytes } = weights();
  const all = readFileSync(path.join(source, file));
  let silent = 2;
  const hung: http.ServerResponse[] = [];
  behave = (f, from, response) => {
    if (f !== file || silent-- <= 0) return false;
    hung.push(response);
    response.writeHead(from > 0 ? 206 : 200, { 'Content-Length': bytes - from });
    response.write(all.subarray(from, from + 10_000));
    return true;
  };
  await store.download(base, { ...fast, patienceMs: 200 });
  expect(served.filter((s) => s.file === file).map((s) => s.from)).toEqual([0, 10_000, 20_000]);
  // The connections are given back, not left open.
  await expect.poll(() => hung.every((response) => response.destroyed)).toBe(true);
});

test('a server that never answers is given up with what is known, and the part that is here is kept', async () => {
  const { path: file } = weights();
  behave = (f, from, response) => {
    if (f === file && from === 0)
      response.writeHead(200).write(readFileSync(path.join(source, f)).subarray(0, 5000));
    return f === file;
  };
  const trying = store.download(base, { ...fast, patienceMs: 100, retries: 1 });
  await expect(trying).rejects.toThrow(/nothing came for 0.1 s; what arrived is kept, try again to go on/);
  expect(await folder.size(`${(await store.list())[0]!.name}/${file}.part`)).toBe(5000);
  // The same for baton.json: without a stored model it is an error, with one that one is used.
  behave = (f) => f === MANIFEST_FILE;
  await expect(store.download(base, { patienceMs: 100 })).rejects.toThrow(
    /baton.json cannot be reached \(nothing came/,
  );
  behave = () => false;
  await store.download(base);
  behave = (f) => f === MANIFEST_FILE;
  expect(await (await store.download(base, { patienceMs: 100 })).size(file)).toBe(weights().bytes);
});

test('what arrived before giving up is kept, and the next try goes on from there', async () => {
  const { path: file, bytes } = weights();
  let broken = true;
  behave = (f, from, response) => {
    if (f !== file || !broken) return false;
    if (from === 0) return cut(f, from, response, Math.floor(bytes / 2));
    response.destroy();
    return true;
  };
  await expect(store.download(base, { ...fast, retries: 1 })).rejects.toThrow(/kept, try again/);
  expect(await store.list()).toEqual([expect.objectContaining({ complete: false, id: null })]);
  broken = false;
  served = [];
  await store.download(base, fast);
  const first = served.find((s) => s.file === file)!;
  expect(first.from).toBeGreaterThan(0);
  expect((await store.list())[0]!.complete).toBe(true);
});

test('a server without ranges sends the whole file again, and only the rest is taken', async () => {
  const { path: file, bytes } = weights();
  let tries = 0;
  behave = (f, from, response) => {
    if (f !== file) return false;
    if (tries++ === 0) return cut(f, 0, response, Math.floor(bytes / 3));
    expect(from).toBeGreaterThan(0);
    response.writeHead(200, { 'Content-Length': bytes });
    createReadStream(path.join(source, f)).pipe(response);
    return true;
  };
  await store.download(base, fast);
  expect((await store.list())[0]!.complete).toBe(true);
});

test('a stored file that was cut or removed behind the store is fetched again, and nothing else', async () => {
  const { path: file, bytes } = weights();
  await store.download(base);
  const { name } = (await store.list())[0]!;
  await truncate(path.join(root, name, file), 1000);
  await rm(path.join(root, name, 'tokenizer.json'));
  served = [];
  const files = await store.download(base);
  expect(served.map((s) => s.file).toSorted()).toEqual([MANIFEST_FILE, 'tokenizer.json', file].toSorted());
  expect(Buffer.compare(await files.read(file), readFileSync(path.join(source, file)))).toBe(0);
  expect(await files.size(file)).toBe(bytes);
  expect((await store.list())[0]!.complete).toBe(true);
});

test('progress tells the speed and the time left, once there is a speed to tell', async () => {
  const { path: file, bytes } = weights();
  behave = (f, from, response) => {
    if (f !== file || from > 0) return false;
    const all = readFileSync(path.join(source, f));
    response.writeHead(200, { 'Content-Length': bytes });
    response.write(all.subarray(0, bytes / 2));
    setTimeout(() => response.write(all.subarray(bytes / 2, (bytes / 4) * 3)), 700);
    setTimeout(() => response.end(all.subarray((bytes / 4) * 3)), 1000);
    return true;
  };
  const progress: DownloadProgress[] = [];
  await store.download(base, { onProgress: (p) => progress.push(p) });
  expect(progress[0]).toMatchObject({ remainingMs: null });
  const told = progress.filter((p) => p.remainingMs !== null && p.done < p.total);
  expect(told.length).toBeGreaterThan(0);
  for (const p of told) expect(p.remainingMs).toBeCloseTo(((p.total - p.done) / p.bytesPerSecond) * 1000, 0);
  // Half of the file in 0.7 s and more: a speed of the time that passed, not of the last piece.
  expect(told[0]!.bytesPerSecond).toBeLessThan(told[0]!.done / 0.65);
});

test('wrong bytes are thrown away and named; the next try starts clean', async () => {
  const { path: file } = weights();
  let wrong = true;
  behave = (f, _from, response) => {
    if (f !== file || !wrong) return false;
    const bytes = readFileSync(path.join(source, f));
    bytes[100] = bytes[100]! ^ 1;
    response.writeHead(200).end(bytes);
    return true;
  };
  await expect(store.download(base, fast)).rejects.toThrow(
    /SHA-256 is [0-9a-f]{64}, [0-9a-f]{64} was expected/,
  );
  const names = await readdir(root, { recursive: true });
  expect(names.some((n) => n.includes(file))).toBe(false);
  wrong = false;
  await store.download(base, fast);
  expect((await store.list())[0]!.complete).toBe(true);
});

test('a file longer than baton.json says, a missing one, and a page that is no model are refused', async () => {
  const { path: file } = weights();
  behave = (f, _from, response) => {
    if (f !== file) return false;
    response.writeHead(200).end(Buffer.concat([readFileSync(path.join(source, f)), Buffer.from('x')]));
    return true;
  };
  await expect(store.download(base, fast)).rejects.toThrow(/longer than the \d+ bytes/);
  behave = (f, _from, response) => (f === file ? (response.writeHead(404).end(), true) : false);
  await expect(store.download(base, fast)).rejects.toThrow(/answered 404; check the address/);
  behave = (f, _from, response) =>
    f === MANIFEST_FILE ? (response.writeHead(200).end('<html>'), true) : false;
  await expect(store.download(base, fast)).rejects.toThrow(/baton\.json: not JSON/);
});

test('too little space is said before anything is fetched', async () => {
  const tight = new ModelStore({ ...folder, free: async () => 1000 });
  await expect(tight.download(base)).rejects.toThrow(/tiny needs 0\.\d+ MB more, and 0\.00 MB are free/);
  expect(served.map((s) => s.file)).toEqual([MANIFEST_FILE]);
});

test('a disk that fills up half-way says so, and nothing counts as complete', async () => {
  let room = 50_000;
  const full = new ModelStore({
    ...folder,
    append: async (file, offset) => {
      const writer = await folder.append(file, offset);
      return {
        ...writer,
        write: async (bytes) => {
          room -= bytes.length;
          if (room < 0) throw Object.assign(new Error('no space left on device'), { code: 'ENOSPC' });
          await writer.write(bytes);
        },
      };
    },
  });
  await expect(full.download(base, fast)).rejects.toThrow(/no space left for .*try again to go on/);
  expect((await store.list()).every((m) => !m.complete)).toBe(true);
  await store.download(base, fast);
  expect((await store.list())[0]!.complete).toBe(true);
});

test('an abort stops at once and keeps what arrived', async () => {
  const abort = new AbortController();
  const { path: file } = weights();
  behave = (f, from, response) => {
    if (f !== file) return false;
    response.writeHead(200, { 'Content-Length': weights().bytes });
    response.write(readFileSync(path.join(source, f)).subarray(from, from + 5000));
    setTimeout(() => abort.abort(), 20);
    return true;
  };
  await expect(store.download(base, { ...fast, signal: abort.signal })).rejects.toThrow(
    expect.objectContaining({ name: 'AbortError' }),
  );
  expect(await folder.size(`${(await store.list())[0]!.name}/${file}.part`)).toBe(5000);
});

test('files on disk stay, so that there is nothing to ask for, and the answer says so', async () => {
  const answer = { persisted: true, detail: `files in ${root} stay until somebody deletes them` };
  expect(await store.persist()).toEqual(answer);
  expect(await store.persisted()).toEqual(answer);
});

test('delete removes everything of a model', async () => {
  await store.download(base);
  await store.delete((await store.list())[0]!.name);
  expect(await store.list()).toEqual([]);
  expect((await readdir(root)).filter((n) => !n.endsWith('.lock'))).toEqual([]);
});

test('a lock keeps others out, and one whose owner has died is taken over', async () => {
  const lock = path.join(root, 'x.lock');
  const order: string[] = [];
  await Promise.all([
    withLock(lock, async () => {
      order.push('first in');
      await new Promise((r) => setTimeout(r, 150));
      order.push('first out');
    }),
    new Promise((r) => setTimeout(r, 20)).then(() => withLock(lock, async () => void order.push('second'))),
  ]);
  expect(order).toEqual(['first in', 'first out', 'second']);
  // No process has this id: it is above every system's limit.
  await writeFile(lock, '99999999\n');
  expect(await withLock(lock, async () => 'taken over')).toBe('taken over');
  await writeFile(lock, `${process.pid}\n`);
  await expect(withLock(lock, async () => 'no', 50)).rejects.toThrow(/still holds/);
});

test('of many that find a dead lock at once, one after the other has it', async () => {
  const lock = path.join(root, 'x.lock');
  let inside = 0;
  let most = 0;
  for (let round = 0; round < 10; round++) {
    await writeFile(lock, '99999999\n');
    const work = async (): Promise<void> => {
      most = Math.max(most, ++inside);
      await new Promise((r) => setTimeout(r, 1));
      inside--;
    };
    await Promise.all(Array.from({ length: 8 }, () => withLock(lock, work)));
  }
  expect(most).toBe(1);
  expect((await readdir(root)).filter((name) => name.startsWith('x.lock'))).toEqual([]);
});

test('a lock that somebody deleted and another took is left to that one', async () => {
  const lock = path.join(root, 'x.lock');
  await withLock(lock, () => writeFile(lock, '1\n'));
  expect(await readFile(lock, 'utf8')).toBe('1\n');
});

test('a file that cannot be written whole leaves nothing behind', async () => {
  await mkdir(path.join(root, 'taken/by'), { recursive: true });
  await expect(diskFolder(root).writeWhole('taken', Uint8Array.of(1))).rejects.toThrow();
  expect(await readdir(root)).toEqual(['taken']);
});
