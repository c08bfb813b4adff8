// Several conversations at once: each goes on from its own cache, the one unused longest makes room, and the memory limit
// holds whatever is asked.
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { serve, type Served } from '../support/serve.ts';

interface Answer {
  text: string;
  cached: number;
  prompt: number;
}

async function ask(server: Served, prompt: string, tokens = 6): Promise<Answer> {
  const reply = await fetch(`${server.url}/v1/completions`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ prompt, max_tokens: tokens, temperature: 0 }),
  });
  expect(reply.status).toBe(200);
  const body = (await reply.json()) as {
    choices: { text: string }[];
    usage: { prompt_tokens: number; prompt_tokens_details: { cached_tokens: number } };
  };
  const { prompt_tokens, prompt_tokens_details } = body.usage;
  return { text: body.choices[0]!.text, cached: prompt_tokens_details.cached_tokens, prompt: prompt_tokens };
}

const status = async (server: Served): Promise<Record<string, number>> =>
  (await (await fetch(`${server.url}/v1/status`)).json()) as Record<string, number>;

const topics = ['Tom has 3 apples', 'Mia drives 89 miles', 'Ann reads 12 pages', 'Max buys 40 pens'];
const opening = (topic: string): string =>
  `<|user|>\n${topic} on every day of the week and wants to know how many that makes.\n<|assistant|>\n<think>\n`;

describe('three conversations', () => {
  let server: Served;
  beforeAll(async () => {
    server = await serve(['--no-pairing', '--target', 'ort-cpu', '--conversations', '3'], 'demo-small');
  });
  afterAll(async () => {
    await server?.stop();
  });

  test('taking turns, each goes on from its own cache', async () => {
    const texts = topics.slice(0, 3).map(opening);
    for (let round = 0; round < 3; round++) {
      for (const [i, text] of texts.entries()) {
        const { text: more, cached, prompt } = await ask(server, text);
        // All but the last few tokens, which re-tokenisation at the seam may change.
        if (round > 0) expect(cached).toBeGreaterThan(prompt - 6);
        texts[i] = text + more;
      }
    }
    expect((await status(server)).conversations).toBe(3);
  });

  test('a hand-off that comes while its keep-warm request is read goes on in the same cache', async () => {
    const text = opening(`Zoe sees ${Array.from({ length: 120 }, (_, i) => `${i} birds`).join(', ')}`);
    const warm = ask(server, text, 1);
    await expect.poll(async () => (await status(server)).running, { interval: 1 }).toBe(1);
    const handOff = await ask(server, `${text}First,`);
    expect(handOff.cached).toBeGreaterThan((await warm).prompt - 6);
    expect((await status(server)).conversations).toBe(3);
  });

  test('a fourth takes the place of the one unused longest, and of no other', async () => {
    for (const topic of topics.slice(0, 3)) await ask(server, opening(topic));
    await ask(server, opening(topics[3]!));
    expect((await status(server)).conversations).toBe(3);
    for (const topic of [topics[3]!, topics[2]!, topics[1]!]) {
      const { cached, prompt } = await ask(server, opening(topic));
      expect(cached).toBeGreaterThan(prompt - 6);
    }
    const { cached, prompt } = await ask(server, opening(topics[0]!));
    expect(cached).toBeLessThan(prompt / 2);
  });
});

test('with memory for one conversation only, requests at the same time are all answered, one after another', async () => {
  const server = await serve(['--no-pairing', '--target', 'ort-cpu', '--cache-mb', '1'], 'demo-small');
  try {
    const alone = await Promise.all(topics.map((topic) => ask(server, opening(topic))));
    for (const [i, topic] of topics.entries())
      expect((await ask(server, opening(topic))).text).toBe(alone[i]!.text);
    const { conversations, running, waiting } = await status(server);
    expect({ conversations, running, waiting }).toEqual({ conversations: 1, running: 0, waiting: 0 });
  } finally {
    await server.stop();
  }
});
