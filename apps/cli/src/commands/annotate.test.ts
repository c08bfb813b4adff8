// `baton annotate --annotator`: a real chat endpoint that says which passages are hard.

import { mkdtemp, readFile, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';

import { expect, test, vi } from 'vitest';

import { annotateCommand } from './annotate.ts';

test('one trace per row is sent, the model that answered is named, each result stands under its own id', async () => {
  const asked: string[] = [];
  const server = createServer((request, response) => {
    let body = '';
    request.on('data', (part: Buffer) => (body += part.toString()));
    request.on('end', () => {
      const { messages } = JSON.parse(body) as { messages: { content: string }[] };
      const text = messages[0]!.content;
      asked.push(text);
      const hard = /Reasoning:\n.*?(\d+ \* \d+ = \d+)/s.exec(text)![1]!;
      response.writeHead(200, { 'content-type': 'text/event-stream' });
      const choice = { index: 0, delta: { content: `<step>${hard}</step>` }, finish_reason: 'stop' };
      response.end(`data: ${JSON.stringify({ choices: [choice] })}\n\ndata: [DONE]\n\n`);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/v1`;
  const dir = await mkdtemp(path.join(tmpdir(), 'baton-cli-annotate-'));
  const [input, out] = [path.join(dir, 'in.jsonl'), path.join(dir, 'out.jsonl')];
  const turns = (i: number): object[] => [
    { role: 'user', content: `What is ${i}3 * 47?` },
    { role: 'assistant', content: `A first try: 1 * 1 = 1.` },
    { role: 'assistant', content: `So ${i}3 * 47 = ${(10 * i + 3) * 47}. Done.` },
  ];
  const rows = [1, 2, 3, 4, 5, 6].map((i) => ({ id: `r${i}`, messages: turns(i) }));
  await writeFile(input, rows.map((row) => `${JSON.stringify(row)}\n`).join(''));
  const printed = vi.spyOn(console, 'log').mockImplementation(() => undefined);
  try {
    const argv = [input, '--out', out, '--annotator', url, '--annotator-model', 'teacher', '--json'];
    await annotateCommand().parseAsync(argv, { from: 'user' });
    expect(JSON.parse(printed.mock.calls[0]![0] as string)).toMatchObject({ annotated: 6, rejected: [] });
    // Other spans come of another gap.
    const wider = [...argv, '--limit', '1', '--merge-gap', '30'];
    wider[2] = path.join(dir, 'other.jsonl');
    for (const gap of ['30', '31', '31']) {
      wider[wider.length - 1] = gap;
      await annotateCommand().parseAsync(wider, { from: 'user' });
    }
    const reused = printed.mock.calls
      .slice(1)
      .map(([line]) => (JSON.parse(line as string) as { reused: number }).reused);
    expect(reused).toEqual([0, 0, 1]);
  } finally {
    printed.mockRestore();
    server.closeAllConnections();
    server.close();
  }
  // Only the last turn is annotated, once.
  expect(asked).toHaveLength(8);
  expect(asked.every((text) => !text.includes('A first try'))).toBe(true);
  const lines = (await readFile(out, 'utf8')).trim().split('\n');
  const annotated = lines.map((line) => JSON.parse(line) as { id: string; method: string });
  expect(annotated.map((row) => row.id)).toEqual(rows.map((row) => row.id));
  expect(annotated.every((row) => row.method === `annotator teacher at ${url}, share 0.2`)).toBe(true);
  const training = await readFile(path.join(dir, 'out.sft.jsonl'), 'utf8');
  expect(training).toContain('So <bigmodel>13 * 47 = 611</bigmodel>. Done.');
});
