// `chat_template_kwargs`, by which clients of vLLM and SGLang switch a model's thinking off (Qwen3's `enable_thinking`), through a
// really started `baton serve`, alone and as a relay.
import { cp, mkdtemp, rm, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import OpenAI from 'openai';
import type { Trace } from '@baton/split/trace';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { serve, type Served } from '../support/serve.ts';

/** As Qwen3's: an empty thought stands there for a model that is not to think. */
const TEMPLATE = `{%- for message in messages -%}
{{- '<|' + message.role + '|>\\n' + message.content + '\\n' -}}
{%- endfor -%}
{%- if add_generation_prompt -%}
{{- '<|assistant|>\\n<think>\\n' -}}
{%- if enable_thinking is defined and enable_thinking is false -%}{{- '\\n</think>\\n\\n' -}}{%- endif -%}
{%- endif -%}`;
const messages = [{ role: 'user' as const, content: 'What is 3 + 4?' }];
const THINKING = '<|user|>\nWhat is 3 + 4?\n<|assistant|>\n<think>\n';
const off = { chat_template_kwargs: { enable_thinking: false } };

let folder: string;
let alone: Served;
let relay: Served;

beforeAll(async () => {
  folder = await mkdtemp(path.join(os.tmpdir(), 'baton-template-'));
  await cp(new URL('../../models/demo-small', import.meta.url), folder, { recursive: true });
  await writeFile(path.join(folder, 'chat_template.jinja'), TEMPLATE);
  alone = await serve(['--no-pairing'], folder);
  relay = await serve(['--no-pairing', '--large', `${alone.url}/v1`, '--policy', 'small'], folder);
});
afterAll(async () => {
  await relay?.stop();
  await alone?.stop();
  await rm(folder, { recursive: true, force: true });
});

const chat = (server: Served, options: object): Promise<OpenAI.ChatCompletion & { trace?: Trace }> =>
  new OpenAI({ baseURL: `${server.url}/v1`, apiKey: 'none', maxRetries: 0 }).chat.completions.create({
    model: server.model,
    messages,
    temperature: 0,
    max_tokens: 8,
    ...options,
  });

test('the template reads them', async () => {
  const rendered = async (body: object): Promise<unknown> => {
    const answer = await fetch(`${alone.url}/v1/render`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ messages, ...body }),
    });
    return ((await answer.json()) as { text: string }).text;
  };
  expect(await rendered({})).toBe(THINKING);
  expect(await rendered({ variables: { enable_thinking: false } })).toBe(`${THINKING}\n</think>\n\n`);

  const plain = await chat(alone, {});
  const without = await chat(alone, off);
  expect(without.usage!.prompt_tokens).toBeGreaterThan(plain.usage!.prompt_tokens);
  const kept = await chat(alone, {
    chat_template_kwargs: { enable_thinking: true, unheard_of: [1, { a: null }] },
  });
  expect(kept.choices[0]!.message.content).toBe(plain.choices[0]!.message.content);
});

test('a relay’s small model reads them', async () => {
  expect((await chat(relay, {})).trace!.prompt).toBe(THINKING);
  expect((await chat(relay, off)).trace!.prompt).toBe(`${THINKING}\n</think>\n\n`);
});
