// What a browser that has the page already is told.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { Hono } from 'hono';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { servePage } from './serve-page.ts';

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(path.join(os.tmpdir(), 'baton-page-'));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

it('a page that was built anew is sent again, one that was not is not', async () => {
  const file = path.join(folder, 'index.html');
  writeFileSync(file, 'first');
  const app = new Hono();
  servePage(app, folder);
  const etag = (await app.request('/')).headers.get('etag')!;
  const again = (): Response | Promise<Response> => app.request('/', { headers: { 'if-none-match': etag } });
  expect((await again()).status).toBe(304);
  writeFileSync(file, 'newer');
  const reply = await again();
  expect([reply.status, await reply.text()]).toEqual([200, 'newer']);
  expect(reply.headers.get('etag')).not.toBe(etag);
});
