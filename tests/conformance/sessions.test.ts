// A relay whose small model runs behind the bridge: the client's sessions over real HTTP against a local session of the
// same model on the same target, token for token; and a bridge that takes a session away in the middle.
import { spawnSync } from 'node:child_process';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import type { TextSession } from '@baton/runtime/text-model';
import { openLocal } from '@baton/runtime/node';
import type { LocalModel } from '@baton/runtime';
import { openBridge, pairWithBridge, type BridgeModel } from '@baton/bridge/client';
import { solve, type Trace } from '@baton/split';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { serve, type Served } from '../support/serve.ts';

let server: Served;
let here: LocalModel;
let there: BridgeModel;
const question = 'Tom has 23 boxes with 47 apples each. He eats 12. How many are left?';

beforeAll(async () => {
  server = await serve(['--no-pairing', '--target', 'ort-cpu', '--conversations', '2'], 'demo-small');
  here = await openLocal('demo-small', { target: 'ort-cpu' });
  there = (await openBridge({ url: server.url }))!;
});
afterAll(async () => {
  await here?.close();
  await server?.stop();
});

test('the bridge says what it is and where its model runs', () => {
  expect(there.id).toBe('demo-small');
  expect(there.location).toBe(`ort-cpu at 127.0.0.1:${server.port}`);
  expect(there.capabilities.sessions).toBe(true);
});

test('the chat template is the model’s own', async () => {
  const messages = [{ role: 'user' as const, content: question }];
  for (const addGenerationPrompt of [true, false])
    expect(await there.renderChat(messages, { addGenerationPrompt })).toBe(
      await here.renderChat(messages, { addGenerationPrompt }),
    );
});

test('sync, watched probabilities, generation and going back are those of a local session', async () => {
  const steps = async (session: TextSession): Promise<unknown[]> => {
    const seen: unknown[] = [];
    const watch = await session.encode('<bigmodel>');
    const prompt = `<|user|>\n${question}\n<|assistant|>\n<think>\n`;
    seen.push(watch, await session.sync(prompt, { watch }));
    let text = prompt;
    for await (const chunk of session.generate({ maxTokens: 12, watch, topLogprobs: 2 })) {
      seen.push(chunk);
      text += chunk.text;
    }
    seen.push(await session.state());
    // Somebody else's text after a part of ours.
    seen.push(await session.sync(`${text.slice(0, -8)} so 23 times 47`, { watch }));
    const banned = { sampling: { logitBias: { [watch[0]!]: -Infinity }, temperature: 1, seed: 5 } };
    for await (const chunk of session.generate({ maxTokens: 6, ...banned })) seen.push(chunk);
    // Left early: the next step must find the session in order.
    for await (const chunk of session.generate({ maxTokens: 400 })) {
      seen.push(chunk.tokenIds);
      break;
    }
    const again = await session.sync(prompt, { watch });
    seen.push(again.ingested + again.kept);
    await session.close();
    return seen;
  };
  expect(await steps(await there.openSession())).toEqual(await steps(await here.openSession()));
});

test('a relay writes the same trace with its small model here or behind the bridge', async () => {
  const run = async (small: LocalModel | BridgeModel): Promise<Trace> => {
    for await (const event of solve(question, {
      small,
      large: here,
      policy: 'threshold:0.2',
      budget: { maxTokens: 160 },
    }))
      if (event.type === 'end') return event.trace;
    throw new Error('no trace');
  };
  const [a, b] = [await run(there), await run(here)];
  expect(a.totals.offloadSpans).toBeGreaterThan(0);
  expect(a.text).toBe(b.text);
  expect(a.segments.map((s) => [s.origin, s.tokens])).toEqual(b.segments.map((s) => [s.origin, s.tokens]));
  expect(a.models.small.location).toContain('127.0.0.1');
});

describe('a session that had to make room', () => {
  test('is opened again and goes on where it was', async () => {
    const session = await there.openSession();
    const prompt = `<|user|>\n${question}\n<|assistant|>\n<think>\n`;
    await session.sync(prompt);
    // Two others: with --conversations 2 the first one has to go.
    const others = [await there.openSession(), await there.openSession()];
    for (const other of others) await other.sync(prompt);
    const watch = await session.encode('<bigmodel>');
    const grown = await session.sync(`${prompt}First, 23`, { watch });
    // Only what is new is reported, though all of it was ingested again.
    expect(grown.watched.length).toBe(grown.ingested);
    expect(grown.ingested).toBeLessThan(20);
    let text = '';
    for await (const chunk of session.generate({ maxTokens: 8 })) text += chunk.text;
    let wanted = '';
    const local = await here.openSession();
    await local.sync(`${prompt}First, 23`);
    for await (const chunk of local.generate({ maxTokens: 8 })) wanted += chunk.text;
    expect(text).toBe(wanted);
    await local.close();
    for (const one of [session, ...others]) await one.close();
    const status = (await (await fetch(`${server.url}/v1/status`)).json()) as Record<string, number>;
    expect(status).toMatchObject({ sessions: 0, running: 0, waiting: 0 });
  });
});

test('a bridge that asks for a token gets it with every call', async () => {
  const locked = await serve(['--target', 'ort-cpu'], 'demo-small');
  try {
    await expect(openBridge({ url: locked.url })).rejects.toMatchObject({ status: 401 });
    const token = await pairWithBridge(locked.url, await locked.code(), 'a test');
    const model = (await openBridge({ url: locked.url, token }))!;
    const session = await model.openSession();
    await session.sync('Tom has');
    let text = '';
    for await (const chunk of session.generate({ maxTokens: 3 })) text += chunk.text;
    expect(text.length).toBeGreaterThan(0);
    await session.close();
    const pieces = [];
    for await (const chunk of model.generate('Tom has', { maxTokens: 3 })) pieces.push(chunk.text);
    expect(pieces.join('')).toBe(text);
  } finally {
    await locked.stop();
  }
});

test('baton solve takes the bridge’s address as its small model', () => {
  const baton = fileURLToPath(new URL('../../apps/cli/bin/baton.mjs', import.meta.url));
  const args = ['--small', server.url, '--large', 'demo-large', '--policy', 'threshold:0.2', '--json'];
  const done = spawnSync(process.execPath, [baton, 'solve', question, ...args], {
    encoding: 'utf8',
    env: { ...process.env, BATON_CACHE: path.join(os.tmpdir(), 'baton-test-cache') },
  });
  expect(done.stderr).toBe('');
  const trace = JSON.parse(done.stdout) as Trace;
  expect(trace.models.small).toMatchObject({ id: 'demo-small', location: there.location });
  expect(trace.totals.smallTokens).toBeGreaterThan(0);
});

test('a server that is no bridge, and a relay, are told apart', async () => {
  const relay = await serve(['--no-pairing', '--large', `${server.url}/v1`], 'demo-small');
  try {
    expect(await openBridge({ url: relay.url })).toBeNull();
  } finally {
    await relay.stop();
  }
});
