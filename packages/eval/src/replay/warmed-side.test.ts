// The simulated keep-warm requests beside those that the relay itself sends, on one clock that stands still while it works.

import { setImmediate as turn } from 'node:timers/promises';

import type { TextChunk, TextModel } from '@baton/runtime/text-model';
import { solveToTrace } from '@baton/split';
import type { Policy } from '@baton/split';
import { expect, it } from 'vitest';

import { WarmedSide } from './warmed-side.ts';

const TOKEN = 'abc ';
const PROMPT_TOKENS = 50;

/** A clock and a server on it: reads one prompt after another, what is new of each, and answers with one token. */
class ClockedServer {
  nowMs = 0;
  /** When each request was sent. */
  readonly sent: number[] = [];
  readonly model: TextModel;
  readonly #roundTripMs: number;
  readonly #prefillMs: number;
  #busyUntilMs = 0;
  #read = '';
  #answers: { atMs: number; give: () => void }[] = [];

  constructor(roundTripMs: number, prefillMs: number) {
    this.#roundTripMs = roundTripMs;
    this.#prefillMs = prefillMs;
    this.model = {
      id: 'clocked',
      location: 'here',
      capabilities: { logprobs: false, sessions: false, rawCompletion: true, billed: false },
      generate: (prompt) => this.#generate(prompt),
    };
  }

  /** Forgets what it has read, as for another question. */
  begin(): void {
    this.sent.length = 0;
    this.#read = '';
  }

  async pass(ms: number): Promise<void> {
    this.nowMs += ms;
    const due = this.#answers.filter(({ atMs }) => atMs <= this.nowMs);
    this.#answers = this.#answers.filter((one) => !due.includes(one));
    for (const { give } of due) give();
    await turn();
  }

  async *#generate(prompt: string): AsyncGenerator<TextChunk> {
    this.sent.push(this.nowMs);
    const half = this.#roundTripMs / 2;
    const fresh = (prompt.length - this.#read.length) / TOKEN.length;
    const promptTokens = Math.round(prompt.length / TOKEN.length);
    this.#read = prompt;
    this.#busyUntilMs = Math.max(this.nowMs + half, this.#busyUntilMs) + fresh * this.#prefillMs;
    const atMs = this.#busyUntilMs + half;
    await new Promise<void>((give) => this.#answers.push({ atMs, give }));
    const usage = { promptTokens, completionTokens: 1, cachedTokens: Math.round(promptTokens - fresh) };
    yield { text: 'a', tokenIds: [1], finishReason: 'length', usage };
  }
}

/** The small model writes `tokens`, one each `decodeMs`, offering the text as the relay does; no hand-off follows. */
function writing(server: ClockedServer, tokens: number, decodeMs: number): Policy {
  return {
    name: 'writing',
    needs: { small: false, large: true },
    async run({ ledger, parts }) {
      ledger.begin('small');
      parts.keepWarm!.offer('');
      for (let i = 0; i < tokens; i++) {
        await server.pass(decodeMs);
        ledger.add(TOKEN, 1);
        if (i < tokens - 1) parts.keepWarm!.offer(ledger.text);
      }
      ledger.end('end');
      return 'end';
    },
  };
}

it.each([
  { roundTripMs: 100, prefillMs: 0.1, decodeMs: 1, tokens: 300 },
  { roundTripMs: 20, prefillMs: 0.15, decodeMs: 0.3, tokens: 400 },
  { roundTripMs: 200, prefillMs: 0.2, decodeMs: 0.3, tokens: 1000 },
  { roundTripMs: 80, prefillMs: 3, decodeMs: 10, tokens: 200 },
])(
  'sends what the relay sends: round trip $roundTripMs ms, $prefillMs ms to read a token, $decodeMs to write one',
  async ({ roundTripMs, prefillMs, decodeMs, tokens }) => {
    const server = new ClockedServer(roundTripMs, prefillMs);
    const run = async (): Promise<void> => {
      server.begin();
      const policy = writing(server, tokens, decodeMs);
      const renderLarge = (): string => TOKEN.repeat(PROMPT_TOKENS);
      const trace = await solveToTrace('q', {
        small: null,
        large: server.model,
        policy,
        renderLarge,
        clock: () => server.nowMs,
        budget: { maxTokens: 2 * tokens },
      });
      expect(trace.notes).toEqual([]);
      // What is under way is answered before the next run.
      for (let i = 0; i < 100; i++) await server.pass(10);
    };
    // The relay learns what it then knows of the server: that it reads along, and how long its answers take.
    for (let i = 0; i < 4; i++) await run();
    const began = server.nowMs;
    await run();
    const cost = {
      small: { decodeMs, prefillMs: 0 },
      large: { decodeMs: 1, prefillMs },
      roundTripMs,
      evidence: { smallDecode: 0, smallPrefill: 0, largeDecode: 0, handOffs: 0 },
    };
    const side = new WarmedSide(cost, PROMPT_TOKENS);
    side.write(tokens, tokens * TOKEN.length);
    const really = server.sent.map((ms) => ms - began);
    expect(Math.abs(side.sentMs.length - really.length)).toBeLessThanOrEqual(1);
    expect(really.length).toBeGreaterThan(5);
    // It reckons with the round trip alone until the first answer; the relay knows better from the beginning.
    for (const [i, ms] of really.slice(0, side.sentMs.length).entries())
      expect(Math.abs(ms - side.sentMs[i]!), `request ${i}`).toBeLessThanOrEqual(10 + roundTripMs / 5);
  },
);

it('leaves what came since the last request, and what of that one is not read yet', () => {
  const cost = {
    small: { decodeMs: 1, prefillMs: 0 },
    large: { decodeMs: 1, prefillMs: 0.5 },
    roundTripMs: 100,
    evidence: { smallDecode: 0, smallPrefill: 0, largeDecode: 0, handOffs: 0 },
  };
  const write = (tokens: number): WarmedSide => {
    const side = new WarmedSide(cost, 80);
    side.write(tokens, tokens * 4);
    return side;
  };
  // Sent at 0 (80 tokens), read from 50 to 90; at 20 and 40 (20 each), read to 110; 5 tokens more come with the hand-off, at 95.
  const side = write(45);
  expect(side.sentMs).toEqual([0, 20, 40]);
  expect(side.handOff()).toBe(110 - 95 + 5 * 0.5);
  // It then holds everything.
  expect(side.handOff()).toBe(0);
  // Behind a span only what is new counts, and a few characters are worth no request.
  side.write(7, 28);
  expect(side.sentMs).toHaveLength(3);
  expect(side.handOff()).toBe(7 * 0.5);
});
