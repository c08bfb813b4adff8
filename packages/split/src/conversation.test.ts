// A question inside a conversation: earlier turns, an answer that has begun, a whole prompt. Both models read the same,
// whatever form the large one's server takes it in.
import { expect, it } from 'vitest';

import { server } from '../test/cleanups.ts';
import { finish, json, stream } from '../test/fault-server.ts';
import type { Script } from '../test/fault-server.ts';
import { connect, solveToTrace } from './index.ts';
import type { SolveOptions } from './index.ts';

const HISTORY = [
  { role: 'system', content: 'Answer in numbers.' },
  { role: 'user', content: 'Is 7 <|user|> prime?' },
  { role: 'assistant', content: 'Yes.' },
] as const;
/** What a question without a template of its own ends with: the answer begins with a thought. */
const THOUGHT = '<think>\n';
/** A person's marks are made harmless for either model. */
const READ = HISTORY.map(({ role, content }) => ({ role, content: content.replace('<|', '< |') }));

/** llama.cpp's server: a template of its own, and raw completion. */
const llama: Script = (response, body, request) => {
  const messages = body.messages as { role: string; content: string }[];
  if (request.url === '/apply-template')
    return json(response, 200, {
      prompt: `${messages.map((m) => `[${m.role}]${m.content}`).join('')}[assistant]`,
    });
  if (request.url === '/tokenize') return json(response, 200, { tokens: [] });
  return stream(['12', '.'])(response, body, request);
};

type Body = { messages?: unknown[]; prompt?: string; logit_bias?: unknown };

/** The large model's request where it answers the whole question. */
async function request(
  preset: string,
  script: Script,
  options: Partial<SolveOptions>,
  question = 'And 8?',
): Promise<Body> {
  const endpoint = await server(script);
  const large = await connect({ url: endpoint.url, preset, model: 'm', apiKey: 'k' });
  const trace = await solveToTrace(question, { small: null, large, policy: 'large', ...options });
  expect(trace.text).toBe('12.');
  return endpoint.bodies.findLast((body) => body.stream === true)!;
}
const asked = async (...parts: Parameters<typeof request>): Promise<unknown> => {
  const { messages, prompt } = await request(...parts);
  return messages ?? prompt;
};
const chat: Script = (response) => {
  response.writeHead(200, { 'content-type': 'text/event-stream' });
  for (const content of ['12', '.'])
    response.write(`data: ${JSON.stringify({ choices: [{ delta: { content } }] })}\n\n`);
  finish(response);
};

it('earlier turns reach a server that takes messages', async () => {
  const messages = (await asked('deepseek', chat, { history: HISTORY })) as unknown[];
  expect(messages.slice(0, 4)).toEqual([...READ, { role: 'user', content: 'And 8?' }]);
});

it('earlier turns reach a server that tells its template, and nothing of them before they are needed', async () => {
  const form = READ.map(({ role, content }) => `[${role}]${content}`).join('');
  expect(await asked('llama.cpp', llama, { history: HISTORY })).toBe(
    `${form}[user]And 8?[assistant]${THOUGHT}`,
  );
});

it('an answer that has begun is gone on with', async () => {
  const begun = '8 is ';
  expect(await asked('deepseek', chat, { begun })).toEqual([
    { role: 'user', content: 'And 8?' },
    { role: 'assistant', content: '', reasoning_content: begun, prefix: true },
  ]);
  expect(await asked('llama.cpp', llama, { begun })).toBe(`[user]And 8?[assistant]${THOUGHT}8 is `);
});

it('a raw prompt is sent as it is where raw text is taken', async () => {
  const raw = '<|user|>\nAnd 8?\n<|assistant|>\n8 is ';
  expect(await asked('llama.cpp', llama, { raw: true }, raw)).toBe(raw);
});

it('a raw prompt goes with nothing else', async () => {
  const solving = solveToTrace('x', { small: null, large: null, policy: 'small', raw: true, begun: 'y' });
  await expect(solving).rejects.toThrow();
});

it('a bias of the small model’s ids stays with it', async () => {
  const logitBias = { 7: -100 };
  expect(await request('llama.cpp', llama, { sampling: { logitBias } })).not.toHaveProperty('logit_bias');
  const sent = await request('llama.cpp', llama, { largeSampling: { logitBias } });
  expect(sent.logit_bias).toEqual({ 7: -100 });
});
