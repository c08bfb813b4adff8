import { setTimeout as sleep } from 'node:timers/promises';

import type { TextModel } from '@baton/runtime/text-model';
import { afterEach, describe, expect, it } from 'vitest';

import { faultServer } from '../../test/fault-server.ts';
import { largeModel } from '../../test/pair.ts';
import { serveModel } from '../bench/model-endpoint.ts';
import { OpenAICompletionsModel, endpointPool } from '../endpoint/index.ts';
import { TAGS } from '../text/tags.ts';
import { KeepWarm } from './keep-warm.ts';
import { LargeSide } from './large-side.ts';
import { ReadingPace } from './reading-pace.ts';
import { warmUpIsDue } from './warm-up-rule.ts';

const LINE = 'Forty characters are worth one request...\n';

const cleanups: (() => Promise<void>)[] = [];
afterEach(async () => {
  await Promise.allSettled(cleanups.splice(0).map((clean) => clean()));
});

/** A server whose model keeps its cache, each answer `latencyMs` away. */
async function served(latencyMs: number): Promise<{ model: TextModel; prompts: () => string[] }> {
  const local = largeModel();
  const endpoint = await serveModel(local, latencyMs);
  cleanups.push(
    () => endpoint.close(),
    () => local.close(),
  );
  const model = new OpenAICompletionsModel({ url: endpoint.url, model: local.id });
  return { model, prompts: () => endpoint.requests.map(({ prompt }) => prompt) };
}

/** A server that answers after `ms` with one token, and says that `cached` of its prompt's 100 tokens were in its cache. */
async function saying(cached: number | null, ms: number): Promise<TextModel> {
  const details = cached === null ? {} : { prompt_tokens_details: { cached_tokens: cached } };
  const usage = { prompt_tokens: 100, completion_tokens: 1, ...details };
  const event = JSON.stringify({ choices: [{ text: 'a', finish_reason: 'length' }], usage });
  const server = await faultServer((response) => {
    response.writeHead(200, { 'content-type': 'text/event-stream' });
    setTimeout(() => response.end(`data: ${event}\n\ndata: [DONE]\n\n`), ms);
  });
  cleanups.push(() => server.close());
  return new OpenAICompletionsModel({ url: server.url, model: 'm' });
}

interface Counted {
  model: TextModel;
  underWay(): number;
}

/** The model, and how many of its generations are under way. */
function counted(model: TextModel): Counted {
  let open = 0;
  const { id, location, capabilities } = model;
  return {
    underWay: () => open,
    model: {
      id,
      location,
      capabilities,
      async *generate(prompt, options) {
        open++;
        try {
          yield* model.generate(prompt, options);
        } finally {
          open--;
        }
      },
    },
  };
}

interface Warming {
  warm: KeepWarm;
  large: LargeSide;
  /** Grows the text line by line; gives how many requests were under way after each. */
  grow(lines: number, everyMs: number): Promise<number[]>;
  notes: string[];
}

function warming({ model, underWay }: Counted): Warming {
  const notes: string[] = [];
  const now = (): number => performance.now();
  const parts = {
    history: [],
    question: 'q',
    prompt: 'Q: q\n',
    begun: '',
    raw: false,
    tags: TAGS,
    sampling: {},
    prices: null,
    spanMs: 5000,
    streamPrompts: false,
  };
  const large = new LargeSide({ ...parts, model, now, emit: () => undefined });
  const warm = new KeepWarm(large, (line) => notes.push(line), now);
  cleanups.push(() => warm.stop());
  let answer = '';
  const grow = async (lines: number, everyMs: number): Promise<number[]> => {
    const seen: number[] = [];
    for (let i = 0; i < lines; i++) {
      answer += LINE;
      warm.offer(answer);
      seen.push(underWay());
      await sleep(everyMs);
    }
    return seen;
  };
  return { warm, large, grow, notes };
}

describe('requests that keep the large side warm', () => {
  it('follow one another at several to a round trip where the server reads along', async () => {
    const { model, prompts } = await served(90);
    const { grow } = warming(counted(model));
    const seen = await grow(80, 5);
    // One until the server has said that it keeps a cache; up to five from then on.
    expect(Math.max(...seen.slice(0, 4))).toBe(1);
    expect(Math.max(...seen)).toBeGreaterThan(1);
    expect(Math.max(...seen)).toBeLessThanOrEqual(5);
    expect(prompts().length).toBeGreaterThan(4);
    for (const [i, prompt] of prompts().entries())
      if (i > 0) expect(prompt.startsWith(prompts()[i - 1]!)).toBe(true);
  });

  it.each([
    [1, 1],
    [2, 1],
    [3, 2],
  ])('of an endpoint that takes %i at once are never more than %i', async (concurrency, most) => {
    const { model } = await served(60);
    const { grow } = warming(counted(endpointPool([{ model, concurrency }])));
    expect(Math.max(...(await grow(70, 4)))).toBe(most);
  });

  it('go one at a time where the server does not say what it had cached', async () => {
    const { grow } = warming(counted(await saying(null, 30)));
    expect(Math.max(...(await grow(40, 4)))).toBe(1);
  });

  it('go one at a time again where a server reads everything anew, in later runs too', async () => {
    const model = counted(await saying(0, 40));
    const seen = await warming(model).grow(80, 4);
    expect(Math.max(...seen)).toBeGreaterThan(1);
    expect(Math.max(...seen.slice(-20))).toBe(1);
    await expect.poll(() => model.underWay()).toBe(0);
    expect(Math.max(...(await warming(model).grow(40, 4)))).toBe(1);
  });

  it('are left alone at the hand-off, which finds in the cache what they read', async () => {
    const { model } = await served(40);
    const { warm, large, grow } = warming(counted(model));
    await grow(1, 0);
    const stream = large.stream(LINE, 1, 'hand-off');
    warm.makeWay();
    await stream.finished;
    await warm.stop();
    expect(large.warmUp.tokens).toBe(1);
    expect(stream.usage!.cachedTokens).toBeGreaterThan(0.8 * stream.usage!.promptTokens);
  });

  it('are withdrawn at the hand-off where the endpoint takes one request at once', async () => {
    const model = endpointPool([{ model: await saying(0, 400), concurrency: 1 }]);
    const { warm, large, grow, notes } = warming(counted(model));
    await grow(1, 0);
    const stream = large.stream(LINE, 1, 'hand-off');
    warm.makeWay();
    await stream.finished;
    expect(stream.text).toBe('a');
    expect(large.warmUp.tokens).toBe(0);
    expect(notes).toEqual([]);
  });
});

describe('a keep-warm request is due', () => {
  const situation = { underWay: 2, most: 5, grown: 100, sinceMs: 20, answerMs: 100, readMs: null };

  it.each([
    ['a fifth of an answer’s time behind the last', {}, true],
    ['not sooner', { sinceMs: 19 }, false],
    ['not sooner than 10 ms behind it, however fast answers come', { sinceMs: 9, answerMs: 20 }, false],
    ['at once where none is under way', { underWay: 0, sinceMs: 1 }, true],
    ['not where as many as may be are under way', { underWay: 5 }, false],
    ['not beside another while nobody knows how long an answer takes', { answerMs: null }, false],
    ['not for a few characters', { underWay: 0, grown: 39 }, false],
    ['for fewer of a server that reads them slowly', { underWay: 0, grown: 10, readMs: 5 }, true],
    ['not for as many of one that reads them at once', { underWay: 0, readMs: 0.03 }, false],
    ['however fast it reads, for half a page', { underWay: 0, grown: 160, readMs: 0.001 }, true],
  ])('%s', (_, change, due) => {
    expect(warmUpIsDue({ ...situation, ...change })).toBe(due);
  });

  it('for a few characters where a hand-off is near', () => {
    expect(warmUpIsDue({ ...situation, grown: 4 }, true)).toBe(true);
    expect(warmUpIsDue({ ...situation, grown: 3 }, true)).toBe(false);
  });
});

describe('the pace at which a server reads', () => {
  const after = (answers: readonly [characters: number, tookMs: number][]): number | null => {
    const pace = new ReadingPace();
    for (const [characters, tookMs] of answers) pace.add(characters, tookMs);
    return pace.msPerCharacter;
  };

  it('is what an answer takes longer for each character, whatever the round trip', () => {
    const answers = [20, 400, 60, 200].map((n): [number, number] => [n, 80 + 0.25 * n]);
    expect(after(answers)).toBeCloseTo(0.25, 9);
  });

  it('is that of the newest answers', () => {
    const at = (ms: number, many: number): [number, number][] =>
      Array.from({ length: many }, (_, i) => [20 + 100 * (i % 3), 50 + ms * (20 + 100 * (i % 3))]);
    expect(after([...at(1, 30), ...at(0.1, 60)])).toBeCloseTo(0.1, 2);
  });

  it.each([
    ['after two answers', [20, 400]],
    ['where all had as much to read', [40, 41, 40, 42, 41]],
  ])('is not known %s', (_, sizes) => {
    expect(after(sizes.map((n) => [n, 80 + n]))).toBeNull();
  });

  it('is not known where more took less', () => {
    expect(after([20, 400, 60, 200].map((n) => [n, 500 - n]))).toBeNull();
  });
});
