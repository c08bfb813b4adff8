// An answer that is none, though the request succeeded: filtered, refused, a call of a tool that nobody offered, or nothing at all.
// It is no end of the run: the small model goes on, and where there is none the run says what happened.

import type { ServerResponse } from 'node:http';

import { describe, expect, it } from 'vitest';

import { cleanups, server } from '../../test/cleanups.ts';
import { USAGE, event, finish, json, stream } from '../../test/fault-server.ts';
import type { Script } from '../../test/fault-server.ts';
import { QUESTION, smallModel } from '../../test/pair.ts';
import { auditTrace, solveToTrace } from '../index.ts';
import { ChatContinuationModel, OllamaModel, OpenAICompletionsModel } from './index.ts';

const ended =
  (reason: string) =>
  (response: ServerResponse): void =>
    void response.end(`${event('', reason)}${USAGE}data: [DONE]\n\n`);

const refusal: Script = (response) => {
  response.writeHead(200, { 'content-type': 'text/event-stream' });
  for (const refusal of ['I cannot\n', 'help'])
    response.write(`data: ${JSON.stringify({ choices: [{ delta: { content: null, refusal } }] })}\n\n`);
  finish(response);
};

const wholeRefusal: Script = (response) =>
  json(response, 200, {
    choices: [{ message: { content: null, refusal: 'I cannot help' }, finish_reason: 'stop' }],
  });

const CASES: readonly [string, Script, 'raw' | 'chat' | 'ollama', RegExp, string][] = [
  [
    'filtered',
    stream(['1200+'], ended('content_filter')),
    'raw',
    /ended the answer \(content_filter\)/,
    '1200+',
  ],
  ['a tool call', stream([], ended('tool_calls')), 'raw', /called a tool .*\(tool_calls\)/, ''],
  ['given up', stream(['12'], ended('abort')), 'raw', /gave the answer up \(abort\)/, '12'],
  ['refused', refusal, 'chat', /it refused: I cannot help/, ''],
  ['refused in one piece', wholeRefusal, 'chat', /it refused: I cannot help/, ''],
];

function open(url: string, kind: 'raw' | 'chat' | 'ollama') {
  const options = { url, model: 'm', retries: 0 };
  if (kind === 'ollama') return new OllamaModel(options);
  return kind === 'chat'
    ? new ChatContinuationModel(options, 'trailing')
    : new OpenAICompletionsModel(options);
}

describe.each(CASES)('an answer that is %s', (_, script, kind, why, kept) => {
  it('is the failure of its endpoint for the large model alone', async () => {
    const { url } = await server(script);
    const prices = { input: 1, output: 1 };
    const trace = await solveToTrace(QUESTION, {
      small: null,
      large: open(url, kind),
      policy: 'large',
      prices,
    });
    expect(auditTrace(trace)).toEqual([]);
    expect(trace).toMatchObject({ stopReason: 'error', text: kept });
    expect(trace.segments.at(-1)!.reason).toBe('endpoint-error');
    expect(trace.notes).toHaveLength(1);
    expect(trace.notes[0]).toMatch(why);
    expect(trace.notes[0]).toContain(url);
    // What was read for it is billed all the same.
    if (kind === 'raw') expect(trace.segments.at(-1)!.promptTokens).toBe(100);
  });

  it('leaves the small model to go on', async () => {
    const { url } = await server(script);
    const small = smallModel();
    cleanups.push(() => small.close());
    const trace = await solveToTrace(QUESTION, { small, large: open(url, kind), keepWarm: false });
    expect(trace.stopReason).toBe('end');
    expect(trace.answer).not.toBeNull();
    expect(trace.notes.join('\n')).toMatch(why);
    expect(trace.notes.join('\n')).toMatch(/carries on alone/);
  });
});

describe.each<[string, Script]>([
  ['raw', stream([])],
  ['ollama', (response) => response.end('{"response":"","done":true,"done_reason":"stop"}\n')],
])('an answer without a word (%s)', (kind, script) => {
  it('is the failure of its endpoint for the large model alone', async () => {
    const { url } = await server(script);
    const large = open(url, kind as 'raw' | 'ollama');
    const trace = await solveToTrace(QUESTION, { small: null, large, policy: 'large' });
    expect(trace).toMatchObject({ stopReason: 'error', text: '' });
    expect(trace.notes).toEqual([`the large endpoint failed: m at ${url}: the answer is empty`]);
  });

  it('is told where the small model goes on', async () => {
    const { url } = await server(script);
    const small = smallModel();
    cleanups.push(() => small.close());
    const large = open(url, kind as 'raw' | 'ollama');
    const trace = await solveToTrace(QUESTION, { small, large, keepWarm: false });
    expect(trace).toMatchObject({ stopReason: 'end', answer: '1480' });
    expect(trace.notes).toEqual([`m at ${url}: it wrote nothing when it was asked`]);
  });
});
