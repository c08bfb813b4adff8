// An address may hold a password or a key: requests carry them, and nothing that is shown does.

import { expect, it } from 'vitest';

import { cleanups, server } from '../../test/cleanups.ts';
import { json, silence, status, stream } from '../../test/fault-server.ts';
import type { FaultServer, Script } from '../../test/fault-server.ts';
import { QUESTION, smallModel } from '../../test/pair.ts';
import { solveToTrace } from '../solve.ts';
import type { SolveEvent } from '../events.ts';
import {
  OpenAICompletionsModel,
  connect,
  connectOnDemand,
  openSmallEndpoint,
  probeEndpoint,
} from './index.ts';

const SECRET = /hunter2|s3cret/;

const withSecrets = ({ port }: FaultServer): string => `http://me:hunter2@127.0.0.1:${port}/v1?key=s3cret`;

/** The error's text, causes included, as a program would print it. */
async function failureOf(work: Promise<unknown>): Promise<string> {
  const error = await work.then(
    () => null,
    (reason: unknown) => reason as Error & { cause?: unknown },
  );
  expect(error).not.toBeNull();
  expect(`${error!.message} ${String(error!.cause)}`).not.toMatch(SECRET);
  return error!.message;
}

/** Says the address that it was asked at, as Express does. */
const noSuchAddress: Script = (response, _, request) =>
  json(response, 404, { error: { message: `Cannot POST ${request.url!}` } });

it('reaches the server whole', async () => {
  const asked: (string | undefined)[] = [];
  const endpoint = await server((response, body, request) => {
    asked.push(request.url, request.headers.authorization);
    stream(['ok'])(response, body, request);
  });
  const model = new OpenAICompletionsModel({ url: withSecrets(endpoint), model: 'm' });
  for await (const _ of model.generate('p'));
  expect(asked).toEqual(['/v1/completions?key=s3cret', `Basic ${btoa('me:hunter2')}`]);
});

it.each<[string, Script]>([
  ['does not know the address', noSuchAddress],
  ['fails', status(500)],
  ['is silent', silence],
  ['sends what is not JSON', (response) => response.end('data: {"a\n\n')],
  ['breaks off', stream(['12'], (response) => response.end())],
])('is in no event and no trace of a run whose endpoint %s', async (_, script) => {
  const endpoint = await server(script);
  const quick = { url: withSecrets(endpoint), model: 'm', retries: 0, connectMs: 300, idleMs: 300 };
  const small = smallModel();
  cleanups.push(() => small.close());
  for (const large of [new OpenAICompletionsModel(quick), connectOnDemand(quick)]) {
    const events: SolveEvent[] = [];
    const trace = await solveToTrace(QUESTION, { small, large, keepWarm: false }, (event) =>
      events.push(event),
    );
    expect(trace.notes.join('\n')).toContain(`http://127.0.0.1:${endpoint.port}/v1`);
    expect(JSON.stringify(events)).not.toMatch(SECRET);
  }
});

it('is in no error of an endpoint that cannot be used', async () => {
  const none = await server(noSuchAddress);
  const quick = { url: withSecrets(none), retries: 0 };
  const base = `http://127.0.0.1:${none.port}/v1`;
  expect(await failureOf(connect(quick))).toContain(base);
  expect((await probeEndpoint(quick)).remarks.join('\n')).not.toMatch(SECRET);
  expect(await failureOf(openSmallEndpoint(quick))).toContain(base);
  none.models = { data: [] };
  expect(await failureOf(probeEndpoint(quick))).toContain(`${base}/models lists no model`);
  expect(await failureOf(openSmallEndpoint(quick))).toContain('no model is listed');
  const quiet = await server(silence);
  const late = probeEndpoint({ url: withSecrets(quiet) }, { deadlineMs: 100 });
  expect(await failureOf(late)).toBe(`http://127.0.0.1:${quiet.port}/v1: the probe took longer than 100 ms`);
});

it.each([
  'ftp://me:hunter2@host/v1',
  'me:hunter2@host/v1',
  'http://me:hunter2@:x/',
  'http://a b/?key=s3cret',
])('is in no error about an address that cannot be right (%#)', async (url) => {
  expect(await failureOf(connect({ url }))).toMatch(/^the address/);
});
