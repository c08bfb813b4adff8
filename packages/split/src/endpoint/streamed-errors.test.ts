// What a server says is wrong in the middle of its stream is what a person is told, in whatever form it comes; and an event of the wrong
// form is passed over or told with the address, never met as an error of this program's.

import { expect, it } from 'vitest';

import { server } from '../../test/cleanups.ts';
import { event, stream } from '../../test/fault-server.ts';
import { QUESTION } from '../../test/pair.ts';
import { solveToTrace } from '../index.ts';
import type { Trace } from '../index.ts';
import { OpenAICompletionsModel } from './index.ts';

async function run(body: string): Promise<{ trace: Trace; url: string }> {
  const { url } = await server(stream(['1200+'], (response) => void response.end(body)));
  const large = new OpenAICompletionsModel({ url, model: 'm', retries: 0 });
  return { trace: await solveToTrace(QUESTION, { small: null, large, policy: 'large' }), url };
}

it.each([
  [
    'a field of its own',
    'error: {"code":500,"message":"slot\\ncrashed","type":"server_error"}\n\n',
    'slot crashed',
  ],
  ['a field that is no JSON', 'error: slot crashed\n\n', 'slot crashed'],
  ['an event of its own', 'event: error\ndata: {"message":"boom"}\n\n', 'boom'],
  ['an event with the usual error', 'event: error\ndata: {"error":{"message":"boom"}}\n\n', 'boom'],
  ['an event that is a word', 'event: error\ndata: boom\n\n', 'boom'],
  ['an event that is null', 'event: error\ndata: null\n\n', 'null'],
  ['an error without a message', 'data: {"error":{"code":503}}\n\n', '{"code":503}'],
])('%s is told', async (_, body, said) => {
  const { trace, url } = await run(body);
  expect(trace).toMatchObject({ stopReason: 'error', text: '1200+' });
  expect(trace.notes).toEqual([
    `the large endpoint failed: ${url}/completions: the server stopped with an error: ${said}`,
  ]);
});

const whole = `${event('240', 'stop')}data: [DONE]\n\n`;
const choice = (value: object): string => `data: ${JSON.stringify({ choices: [value] })}\n\n`;

it.each([
  ['a choice that is null', 'data: {"choices":[null]}\n\n'],
  ['a choice that is a word', 'data: {"choices":["x"]}\n\n'],
  [
    'parts of a message that are null',
    choice({ delta: { content: [null, { type: 'text', text: [null] }] } }),
  ],
])('%s says nothing', async (_, body) => {
  const { trace } = await run(body + whole);
  expect(trace).toMatchObject({ stopReason: 'end', text: '1200+240', notes: [] });
});

it.each([
  ['that are null', { content: [null] }],
  ['without names', { content: [{}] }],
  ['with other alternatives', { content: [{ token: '210', logprob: null, top_logprobs: 7 }] }],
  ['with alternatives that are null', { content: [{ token: '210', top_logprobs: [null] }] }],
])('log-probabilities %s still count a token', async (_, logprobs) => {
  const { trace } = await run(choice({ text: '210', logprobs }) + whole);
  expect(trace).toMatchObject({ stopReason: 'end', text: '1200+210240', notes: [] });
  expect(trace.totals.largeTokens).toBe(3);
});
