// Thirty-two clients at once on loopback, who ask, stream, leave in the middle, leave before the answer, or cut the
// connection inside their own request, at random but from one seed. Every answer that is read to its end must be the one
// that the prompt has when nobody else asks, and afterwards the server holds nothing for anybody.
import { readFileSync, readdirSync } from 'node:fs';
import net from 'node:net';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { serve, type Served } from '../support/serve.ts';

const CLIENTS = 32;
const REQUESTS = 6;
const TOKENS = 14;

let server: Served;
beforeAll(async () => {
  server = await serve(
    ['--no-pairing', '--target', 'ort-cpu', '--parallel', '4', '--queue', '64', '--conversations', '6'],
    'demo-small',
  );
});
afterAll(async () => {
  await server?.stop();
});

// Sums, which the demo model can do: each prompt has an answer of its own.
const prompts = Array.from(
  { length: 24 },
  (_, i) =>
    `<|user|>\nTom has ${i + 11} apples and buys ${60 - 2 * i} more. How many apples does he have?\n<|assistant|>\n<think>\nFirst, the number of apples is ${i + 11}+${60 - 2 * i}=`,
);

/** Mulberry32: the same run every time. */
function random(seed: number): () => number {
  let a = seed;
  return () => {
    a = (a + 0x6d2b79f5) | 0;
    let t = Math.imul(a ^ (a >>> 15), 1 | a);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

function ask(prompt: string, stream: boolean, signal?: AbortSignal): Promise<Response> {
  return fetch(`${server.url}/v1/completions`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ prompt, max_tokens: TOKENS, temperature: 0, stream }),
    ...(signal ? { signal } : {}),
  });
}

async function whole(prompt: string): Promise<string> {
  const reply = await ask(prompt, false);
  expect(reply.status).toBe(200);
  return ((await reply.json()) as { choices: { text: string }[] }).choices[0]!.text;
}

/** Reads a stream; leaves after `pieces` events where that is given. null for one that was left. */
async function streamed(prompt: string, pieces = Infinity): Promise<string | null> {
  const control = new AbortController();
  const reply = await ask(prompt, true, control.signal);
  expect(reply.status).toBe(200);
  let text = '';
  let rest = '';
  let seen = 0;
  for await (const bytes of reply.body!.pipeThrough(new TextDecoderStream())) {
    const lines = (rest + bytes).split('\n');
    rest = lines.pop()!;
    for (const line of lines) {
      if (!line.startsWith('data: ') || line === 'data: [DONE]') continue;
      const event = JSON.parse(line.slice(6)) as { choices: { text: string }[]; error?: unknown };
      expect(event.error).toBeUndefined();
      text += event.choices[0]?.text ?? '';
      if (++seen >= pieces) {
        control.abort();
        return null;
      }
    }
  }
  return text;
}

/** A request whose connection is cut: inside its body, or after it and before any answer. */
function cut(prompt: string, share: number): Promise<void> {
  const body = JSON.stringify({ prompt, max_tokens: 200, temperature: 0 });
  const head = `POST /v1/completions HTTP/1.1\r\nhost: 127.0.0.1:${server.port}\r\ncontent-type: application/json\r\ncontent-length: ${Buffer.byteLength(body)}\r\n\r\n`;
  return new Promise((resolve, reject) => {
    const socket = net.connect(server.port, '127.0.0.1', () => {
      socket.write(head + body.slice(0, Math.ceil(body.length * share)), () => {
        setTimeout(() => socket.destroy(), 20);
      });
    });
    socket.once('close', () => resolve());
    socket.once('error', reject);
  });
}

interface Tally {
  whole: number;
  streamed: number;
  left: number;
  cut: number;
}

async function round(seed: number, wanted: ReadonlyMap<string, string>): Promise<Tally> {
  const tally: Tally = { whole: 0, streamed: 0, left: 0, cut: 0 };
  const client = async (number: number): Promise<void> => {
    const roll = random(seed * 1000 + number);
    for (let i = 0; i < REQUESTS; i++) {
      const prompt = prompts[Math.floor(roll() * prompts.length)]!;
      const kind = roll();
      if (kind < 0.3) {
        expect(await whole(prompt)).toBe(wanted.get(prompt));
        tally.whole++;
      } else if (kind < 0.6) {
        expect(await streamed(prompt)).toBe(wanted.get(prompt));
        tally.streamed++;
      } else if (kind < 0.75) {
        await streamed(prompt, 1 + Math.floor(roll() * TOKENS));
        tally.left++;
      } else if (kind < 0.85) {
        const control = new AbortController();
        const asked = ask(prompt, roll() < 0.5, control.signal);
        setTimeout(() => control.abort(), roll() * 60);
        await asked.then((reply) => reply.body?.cancel()).catch(() => undefined);
        tally.left++;
      } else {
        await cut(prompt, roll() < 0.5 ? 0.5 : 1);
        tally.cut++;
      }
    }
  };
  await Promise.all(Array.from({ length: CLIENTS }, (_, number) => client(number)));
  return tally;
}

async function status(): Promise<Record<string, number>> {
  return (await (await fetch(`${server.url}/v1/status`)).json()) as Record<string, number>;
}

/** Waits until nothing runs, and gives what the server then holds. */
async function settled(): Promise<{ status: Record<string, number>; sockets: number; memory: number }> {
  await expect
    .poll(async () => {
      const { running, waiting } = await status();
      return [running, waiting];
    })
    .toEqual([0, 0]);
  return { status: await status(), sockets: openSockets(), memory: residentBytes() };
}

/** On Linux; 0 elsewhere. */
function openSockets(): number {
  if (process.platform !== 'linux') return 0;
  return readdirSync(`/proc/${server.process.pid}/fd`).length;
}

function residentBytes(): number {
  if (process.platform !== 'linux') return 0;
  const text = readFileSync(`/proc/${server.process.pid}/status`, 'utf8');
  return Number(/VmRSS:\s+(\d+) kB/.exec(text)![1]) * 1024;
}

test('no answer is lost or mixed up, and nothing is held afterwards', async () => {
  const wanted = new Map<string, string>();
  for (const prompt of prompts) wanted.set(prompt, await whole(prompt));
  expect(new Set(wanted.values()).size).toBeGreaterThan(prompts.length / 2);

  const first = await round(1, wanted);
  for (const count of Object.values(first)) expect(count).toBeGreaterThan(5);
  const once = await settled();
  await round(2, wanted);
  await round(3, wanted);
  const later = await settled();

  expect(later.status.conversations).toBeLessThanOrEqual(6);
  expect(later.status.bytes).toBeLessThanOrEqual(1024 ** 3);
  // Connections that idle are closed within seconds; a few more than before may still be open.
  await expect.poll(openSockets).toBeLessThanOrEqual(once.sockets);
  // Two more rounds of 192 requests: a leak of one conversation each would be several times this.
  expect(later.memory - once.memory).toBeLessThan(48 * 1024 ** 2);
  // And it still answers, as it did.
  for (const [prompt, text] of [...wanted].slice(0, 4)) expect(await whole(prompt)).toBe(text);
}, 300_000);

test('one more than may wait is told so at once, with a time to come back, and the others are served', async () => {
  const small = await serve(['--no-pairing', '--parallel', '1', '--queue', '2'], 'demo-small');
  try {
    const post = (tokens: number): Promise<Response> =>
      fetch(`${small.url}/v1/completions`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({ prompt: prompts[0], max_tokens: tokens, temperature: 1, seed: 3 }),
      });
    const replies = await Promise.all(Array.from({ length: 8 }, () => post(60)));
    const refused = replies.filter((reply) => reply.status === 429);
    expect(replies.filter((reply) => reply.status === 200).length).toBe(8 - refused.length);
    expect(refused.length).toBeGreaterThanOrEqual(1);
    for (const reply of refused) {
      expect(Number(reply.headers.get('retry-after'))).toBeGreaterThanOrEqual(1);
      expect(await reply.json()).toMatchObject({ error: { type: 'rate_limit_error', code: 'queue_full' } });
    }
    expect((await post(2)).status).toBe(200);
  } finally {
    await small.stop();
  }
});
