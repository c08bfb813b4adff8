import { once } from 'node:events';
import http from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { urlFiles } from './url-files.ts';

const content = Uint8Array.from({ length: 1 << 20 }, (_, i) => i % 251);
let server: http.Server;
let base: string;
beforeAll(async () => {
  // As plain servers do it: every request is answered with the whole file.
  server = http.createServer((_request, response) => response.end(content));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  base = `http://127.0.0.1:${(server.address() as AddressInfo).port}/model/`;
});
afterAll(async () => {
  server.closeAllConnections();
  server.close();
});

test('a server that ignores ranges is read once, also where several pieces are asked for at once', async () => {
  const files = urlFiles(base);
  const offsets = [0, 100_000, 300_000, 900_000];
  const pieces = await Promise.all(offsets.map((offset) => files.read('weights.bin', offset, 100_000)));
  pieces.forEach((piece, i) => expect(piece).toEqual(content.slice(offsets[i], offsets[i]! + 100_000)));
  expect(new Set(pieces.map((piece) => piece.buffer)).size).toBe(1);
  expect((await files.read('weights.bin', 5, 10)).buffer).not.toBe(pieces[0]!.buffer);
  await expect(files.read('weights.bin', 1_000_000, 100_000)).rejects.toThrow(/gave 48576 of 100000 bytes/);
});
