// Models that think behind Ollama's own API: the thought is part of the text, in one field or in two.

import type { ServerResponse } from 'node:http';

import { expect, it } from 'vitest';

import type { TextChunk } from '@baton/runtime/text-model';

import { server } from '../../test/cleanups.ts';
import type { Script } from '../../test/fault-server.ts';
import { OllamaModel } from './index.ts';

const THOUGHT = 'First, all the pens: 47*36=1692.';
const ANSWER = 'The answer is \\boxed{1480}.';

function write(response: ServerResponse, lines: readonly object[]): void {
  response.writeHead(200, { 'content-type': 'application/x-ndjson' });
  for (const line of [...lines, { response: '', done: true, done_reason: 'stop' }])
    response.write(`${JSON.stringify({ done: false, ...line })}\n`);
  response.end();
}

/** As ollama/server/routes.go, GenerateHandler: `think` is true where it is not said, for raw prompts too. */
const thinking: Script = (response, body) => {
  if (body.think === false) return write(response, [{ response: `${THOUGHT}\n</think>\n\n${ANSWER}` }]);
  write(response, [{ response: '', thinking: THOUGHT }, { response: ANSWER }]);
};

async function textOf(script: Script, prompt: string, extraBody: Record<string, unknown> = {}) {
  const { url } = await server(script);
  const chunks: TextChunk[] = [];
  for await (const chunk of new OllamaModel({ url, model: 'm', extraBody }).generate(prompt))
    chunks.push(chunk);
  return chunks.map(({ text }) => text).join('');
}

it('a model that thinks is asked not to keep the thought apart', async () => {
  expect(await textOf(thinking, 'Pens?<think>\n')).toBe(`${THOUGHT}\n</think>\n\n${ANSWER}`);
});

it.each<[string, object[], string, string]>([
  [
    'a thought that the prompt opens',
    [{ response: '', thinking: 'First, ' }, { thinking: '47*36' }, { response: ANSWER }],
    'Pens?<think>\n',
    `First, 47*36\n</think>\n\n${ANSWER}`,
  ],
  [
    'a thought of its own',
    [{ response: '', thinking: THOUGHT }, { response: ANSWER }],
    'Pens? ',
    `<think>\n${THOUGHT}\n</think>\n\n${ANSWER}`,
  ],
  [
    'all of the text',
    [{ response: '', thinking: `${THOUGHT}</think>` }, { thinking: ANSWER }],
    'Pens?<think>\n',
    `${THOUGHT}</think>${ANSWER}`,
  ],
])('kept apart all the same, %s joins the text in its order', async (_, lines, prompt, text) => {
  expect(await textOf((response) => write(response, lines), prompt)).toBe(text);
});

it('whoever wants the thought apart says so', async () => {
  const text = await textOf(thinking, 'Pens?<think>\n', { think: true });
  expect(text).toBe(`${THOUGHT}\n</think>\n\n${ANSWER}`);
});
