// The decoder, the session and the model on ONNX Runtime's CPU provider, against what transformers computes with the
// same checkpoint (test/fixtures/make_tiny.py). The browser targets run the same checks in test/browser.
import { readFileSync } from 'node:fs';
import { cp, mkdtemp, rm, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Backend } from './backend.ts';
import { Decoder } from './decoder.ts';
import type { LocalModel } from './local-model.ts';
import { openLocal } from './node/index.ts';
import { LocalSession, type SessionChunk } from './session.ts';
import type { GenerateOptions } from './text-model.ts';
import { Tokenizer } from './text/tokenizer.ts';

const fixtures = fileURLToPath(new URL('../test/fixtures/', import.meta.url));
interface Reference {
  ids: number[];
  positions: number[];
  logits: string;
  nextLogprobs: number[];
  greedyPromptLength: number;
  greedy: number[];
}
const reference = JSON.parse(readFileSync(path.join(fixtures, 'tiny.reference.json'), 'utf8')) as Reference;
const wanted = new Float32Array(Uint8Array.from(Buffer.from(reference.logits, 'base64')).buffer);

let cache: string;
let model: LocalModel;
let vocab: number;
beforeAll(async () => {
  cache = await mkdtemp(path.join(os.tmpdir(), 'baton-cache-'));
  process.env.BATON_CACHE = cache;
  // Two capacities and two graphs per pass: growth and layer chunks are then part of every test.
  model = await openLocal(path.join(fixtures, 'tiny'), {
    compile: { context: [64, 192], chunk: 16, layersPerGraph: 2 },
  });
  vocab = model.manifest.architecture.vocabSize;
});
afterAll(async () => {
  await model.close();
  await rm(cache, { recursive: true, force: true });
});

function relativeError(got: Float32Array, want: Float32Array): number {
  let diff = 0;
  let norm = 0;
  for (let i = 0; i < want.length; i++) {
    diff += (got[i]! - want[i]!) ** 2;
    norm += want[i]! ** 2;
  }
  return Math.sqrt(diff / norm);
}

function expectReference(rows: Float32Array): void {
  reference.positions.forEach((position, i) => {
    const got = rows.subarray(position * vocab, (position + 1) * vocab);
    expect(relativeError(got, wanted.subarray(i * vocab, (i + 1) * vocab))).toBeLessThan(1e-3);
  });
}

async function greedy(decoder: Decoder, count: number): Promise<number[]> {
  const out: number[] = [];
  let logits = decoder.lastLogits!;
  for (let i = 0; i < count; i++) {
    const best = logits.indexOf(Math.max(...logits));
    out.push(best);
    logits = await decoder.step(best);
  }
  return out;
}

describe('decoder', () => {
  test.each([
    ['whole chunks and a padded rest', [150]],
    ['single steps', Array.from({ length: 150 }, () => 1)],
    ['odd pieces', [1, 16, 2, 31, 5, 17, 78]],
  ])('logits agree with transformers: %s', async (_name, pieces) => {
    const decoder = await Decoder.create(model.backend);
    const rows = new Float32Array(reference.ids.length * vocab);
    let at = 0;
    for (const n of pieces) {
      const { logits } = await decoder.ingest(reference.ids.slice(at, at + n), { logits: 'all' });
      rows.set(logits!, at * vocab);
      at += n;
    }
    expect(at).toBe(150);
    expectReference(rows);
    await decoder.close();
  });

  test('logits agree after wrong tokens were ingested and rolled back', async () => {
    const decoder = await Decoder.create(model.backend);
    await decoder.ingest(reference.ids.slice(0, 50));
    await decoder.ingest([1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20]);
    decoder.rollback(50);
    expect(decoder.lastLogits).toBeNull();
    const { logits } = await decoder.ingest(reference.ids.slice(50), { logits: 'last' });
    expect(relativeError(logits!, wanted.subarray(-vocab))).toBeLessThan(1e-3);
    await decoder.close();
  });

  test('64 greedy tokens are those of transformers, across a growth of the cache', async () => {
    const decoder = await Decoder.create(model.backend);
    await decoder.ingest(reference.ids.slice(0, reference.greedyPromptLength), { logits: 'last' });
    expect(await greedy(decoder, 64)).toEqual(reference.greedy);
    await decoder.close();
  });

  test('growing runs no token again', async () => {
    let ran = 0;
    const { target, vocabSize, maxRows, capacities, description } = model.backend;
    let slots = (): number => 0;
    const counting: Backend = {
      target,
      vocabSize,
      maxRows,
      capacities,
      description,
      createSequence: async (capacity) => {
        const sequence = await model.backend.createSequence(capacity);
        slots = () => sequence.capacity;
        const forward = sequence.forward.bind(sequence);
        sequence.forward = (tokens, position, wanted) => {
          ran += tokens.length;
          return forward(tokens, position, wanted);
        };
        return sequence;
      },
      close: async () => undefined,
    };
    const decoder = await Decoder.create(counting);
    const prompt = reference.ids.slice(0, 50);
    await decoder.ingest(prompt, { logits: 'last' });
    const before = slots();
    const written = await greedy(decoder, 30);
    expect([before, slots()]).toEqual([64, 192]);
    expect(ran).toBe(prompt.length + written.length);
    await decoder.close();
  });

  test('watched columns are the log-probabilities of the full logits', async () => {
    const decoder = await Decoder.create(model.backend);
    const watch = [3, 200, 395];
    const ids = reference.ids.slice(0, 40);
    const { watched } = await decoder.ingest(ids, { logits: { watch } });
    expect(watched).toHaveLength(40);
    decoder.rollback(0);
    const { logits } = await decoder.ingest(ids, { logits: 'all' });
    watched.forEach((row, r) => {
      const full = logits!.subarray(r * vocab, (r + 1) * vocab);
      const lse = Math.log(full.reduce((sum, x) => sum + Math.exp(x), 0));
      watch.forEach((id, i) => expect(row.logprobs[i]).toBeCloseTo(full[id]! - lse, 3));
      expect(row.argmax).toBe(full.indexOf(Math.max(...full)));
    });
    await decoder.close();
  });

  test('what does not fit is refused before any work, and named', async () => {
    const decoder = await Decoder.create(model.backend);
    await expect(decoder.ingest(Array.from({ length: 193 }, () => 1))).rejects.toThrow(
      /193 more tokens do not fit: 0 of 192/,
    );
    expect(decoder.length).toBe(0);
    await expect(decoder.ingest([vocab])).rejects.toThrow(/ids are 0 to/);
    expect(() => decoder.rollback(1)).toThrow(/holds 0 tokens/);
    await decoder.close();
  });

  test('most slots that lie between two capacities hold no more than the smaller one, and nothing is dropped', async () => {
    const decoder = await Decoder.create(model.backend, { maxCapacity: 100 });
    expect(decoder.capacity).toBe(64);
    await decoder.ingest(reference.ids.slice(0, 64));
    await expect(decoder.ingest([1])).rejects.toThrow(/1 more tokens do not fit: 64 of 64/);
    expect(decoder.dropped).toBe(0);
    await decoder.close();
  });

  test('sliding keeps going past the capacity, and rolling back behind it runs what was dropped again', async () => {
    const decoder = await Decoder.create(model.backend, { maxCapacity: 64, whenFull: 'slide', sinks: 4 });
    await decoder.ingest(reference.ids, { logits: 'last' });
    expect(decoder.length).toBe(150);
    expect(decoder.dropped).toBeGreaterThan(0);
    expect(decoder.length - decoder.dropped).toBeLessThanOrEqual(64);
    expect(decoder.lastLogits!.every(Number.isFinite)).toBe(true);
    // Rolling back to before what was dropped makes the next ingest run the missing tokens again.
    decoder.rollback(20);
    const { logits } = await decoder.ingest(reference.ids.slice(20, 64), { logits: 'last' });
    const fresh = await Decoder.create(model.backend);
    const { logits: direct } = await fresh.ingest(reference.ids.slice(0, 64), { logits: 'last' });
    expect(relativeError(logits!, direct!)).toBeLessThan(1e-3);
    await decoder.close();
    await fresh.close();
  });
});

async function collect(
  session: { generate(o?: GenerateOptions): AsyncIterable<SessionChunk> },
  options: GenerateOptions = {},
): Promise<{ text: string; ids: number[]; last: SessionChunk; chunks: SessionChunk[] }> {
  const chunks: SessionChunk[] = [];
  for await (const chunk of session.generate(options)) chunks.push(chunk);
  return {
    chunks,
    text: chunks.map((c) => c.text).join(''),
    ids: chunks.flatMap((c) => [...c.tokenIds]),
    last: chunks.at(-1)!,
  };
}

describe('session', () => {
  const prompt = 'A baker makes 24 loaves.';
  let session: LocalSession;
  const fresh = async (text = prompt): Promise<LocalSession> => {
    session = await model.openSession();
    await session.sync(text);
    return session;
  };

  test('sync keeps the common token prefix and watches each new position', async () => {
    await fresh('A baker makes 24 loaves. How many');
    const watch = [model.tokenizer.addedToken('<bigmodel>')!, model.tokenizer.addedToken('</bigmodel>')!];
    const text = 'A baker makes 24 loaves. How few 🦉 are left?';
    const result = await session.sync(text, { watch });
    expect(result.kept).toBeGreaterThan(5);
    expect(result.watched).toHaveLength(result.ingested);
    const lengths = result.watched.map((w) => w.textLength);
    expect(lengths.at(-1)).toBe(text.length);
    expect(lengths).toContain(-1);
    // Each length is where its token ends in the text.
    const ids = model.tokenizer.encodeSequence(text);
    result.watched.forEach((w, i) => {
      if (w.textLength >= 0)
        expect(text.slice(0, w.textLength)).toBe(model.tokenizer.decode(ids.slice(0, result.kept + i + 1)));
    });
    const again = await session.sync(text, { watch });
    expect(again).toEqual({ kept: ids.length, ingested: 0, watched: [] });
    expect((await session.state()).text).toBe(text);
    await session.close();
  });

  test.each([
    ['A dog and', ' the dog.'],
    ['<bigmodel>\nA dog', '</bigmodel>\nis'],
    ['e\u0301 is', ' the e\u0301'],
  ])(
    'places are those of the text where the tokenizer writes a mark for every space: %j',
    async (first, more) => {
      const json: unknown = JSON.parse(
        readFileSync(path.join(fixtures, 'tokenizers/sentence-piece.json'), 'utf8'),
      );
      session = new LocalSession({
        decoder: await Decoder.create(model.backend),
        tokenizer: new Tokenizer(json),
        stopIds: new Set(),
      });
      for (const text of [first, first + more]) {
        const { watched } = await session.sync(text, { watch: [1] });
        expect(watched.at(-1)!.textLength).toBe(text.length);
      }
      await session.close();
    },
  );

  test('the log-probability watched at a position is that of scoring the text', async () => {
    const id = model.tokenizer.encode(' loaves')[0]!;
    session = await model.openSession();
    const { watched } = await session.sync(prompt, { watch: [id] });
    const ids = model.tokenizer.encodeSequence(prompt);
    const scored = await model.score({ ids: [...ids, id] });
    expect(watched.at(-1)!.logprobs[0]).toBeCloseTo(scored.at(-1)!.logprob!, 4);
    await session.close();
  });

  test('generated tokens stay, and generating in two parts equals generating at once', async () => {
    await fresh();
    const whole = await collect(session, { maxTokens: 24 });
    expect(whole.last.finishReason).toBe('length');
    expect(whole.last.usage).toMatchObject({ completionTokens: 24 });
    await session.sync(prompt);
    const a = await collect(session, { maxTokens: 9 });
    const b = await collect(session, { maxTokens: 15 });
    expect([...a.ids, ...b.ids]).toEqual(whole.ids);
    expect(a.text + b.text).toBe(whole.text);
    await session.close();
  });

  test('a stop string ends the text before it, and the session keeps only what lies before', async () => {
    await fresh();
    const { text } = await collect(session, { maxTokens: 24 });
    const stop = text.slice(6, 9);
    const at = text.indexOf(stop);
    await session.sync(prompt);
    const cut = await collect(session, { maxTokens: 24, stop: [stop] });
    expect(cut.last).toMatchObject({ finishReason: 'stop', stopped: stop });
    expect(cut.text).toBe(text.slice(0, at));
    const state = await session.state();
    expect((prompt + text.slice(0, at)).startsWith(state.text)).toBe(true);
    await session.sync(prompt);
    const with_ = await collect(session, { maxTokens: 24, stop: [stop], includeStop: true });
    expect(with_.text).toBe(text.slice(0, at + stop.length));
    await session.close();
  });

  test('a stop string that begins in the prompt is none', async () => {
    const doubled = model.tokenizer.encode('dd');
    expect(doubled).toHaveLength(1);
    const asked = 'A baker makes 24 d';
    await fresh(asked);
    const { text, last } = await collect(session, {
      maxTokens: 9,
      stop: ['dd'],
      sampling: { logitBias: { [doubled[0]!]: 1000 } },
    });
    expect(last).toMatchObject({ finishReason: 'stop', stopped: 'dd' });
    expect(text).toBe('');
    expect((await session.state()).text).toBe(asked);
    await session.close();
  });

  test('a stop id ends the text and is named', async () => {
    await fresh();
    const end = model.tokenizer.addedToken('<|end|>')!;
    const { ids, last } = await collect(session, { maxTokens: 5, sampling: { logitBias: { [end]: 1000 } } });
    expect(ids).toEqual([]);
    expect(last).toMatchObject({ finishReason: 'stop', stopped: '<|end|>' });
    await session.close();
  });

  test('every stop id of generation_config ends it', async () => {
    const checkpoint = path.join(cache, 'many-ends');
    await cp(path.join(fixtures, 'tiny'), checkpoint, { recursive: true });
    const end = model.tokenizer.addedToken('<|end|>')!;
    const ends = [end, 200, 301];
    await writeFile(path.join(checkpoint, 'generation_config.json'), JSON.stringify({ eos_token_id: ends }));
    const several = await openLocal(checkpoint, { compile: { context: 64, chunk: 16 } });
    try {
      for (const id of [...ends, 202]) {
        const asked = await several.openSession();
        await asked.sync('A baker makes 24');
        const { ids, last } = await collect(asked, { maxTokens: 2, sampling: { logitBias: { [id]: 1000 } } });
        const ended = { ids: [], last: { finishReason: 'stop', stopped: several.tokenizer.tokenText(id) } };
        expect({ ids, last }).toMatchObject(
          ends.includes(id) ? ended : { ids: [id, id], last: { finishReason: 'length' } },
        );
        await asked.close();
      }
    } finally {
      await several.close();
    }
  });

  test('no tokens are written where none are asked for, and a number that is none is refused', async () => {
    await fresh();
    expect(await collect(session, { maxTokens: 0 })).toMatchObject({
      ids: [],
      last: { finishReason: 'length' },
    });
    await expect(collect(session, { maxTokens: Number.NaN })).rejects.toThrow('maxTokens is NaN');
    expect((await collect(session, { maxTokens: 2 })).ids).toHaveLength(2);
    await session.close();
  });

  test('the same seed writes the same text, another seed another', async () => {
    const write = async (seed: number): Promise<string> => {
      await fresh();
      const { text } = await collect(session, { maxTokens: 20, sampling: { temperature: 1.5, seed } });
      await session.close();
      return text;
    };
    const first = await write(5);
    expect(await write(5)).toBe(first);
    expect(await write(6)).not.toBe(first);
  });

  test('log-probabilities are reported for the chosen token and the alternatives', async () => {
    await fresh();
    const { chunks } = await collect(session, { maxTokens: 4, topLogprobs: 3 });
    for (const chunk of chunks.filter((c) => c.tokenIds.length > 0)) {
      const [own] = chunk.logprobs!;
      expect(own!.id).toBe(chunk.tokenIds[0]);
      expect(own!.top).toHaveLength(3);
      expect(own!.top![0]!.id).toBe(own!.id);
      expect(own!.top![0]!.logprob).toBeCloseTo(own!.logprob, 6);
    }
    await session.close();
  });

  test('an abort ends the stream within one step, and the session goes on afterwards', async () => {
    await fresh();
    const abort = new AbortController();
    const chunks: SessionChunk[] = [];
    for await (const chunk of session.generate({ signal: abort.signal })) {
      chunks.push(chunk);
      if (chunks.length === 3) abort.abort();
    }
    expect(chunks).toHaveLength(4);
    expect(chunks.at(-1)!.finishReason).toBe('aborted');
    const rest = await collect(session, { maxTokens: 2 });
    expect(rest.ids).toHaveLength(2);
    await session.close();
  });

  test('an aborted sync throws and leaves a state that can be used', async () => {
    session = await model.openSession();
    await expect(session.sync(prompt, { signal: AbortSignal.abort() })).rejects.toThrow(/cancelled/);
    await session.sync(prompt);
    expect((await session.state()).text).toBe(prompt);
    await session.close();
  });

  test('a full context ends the text with its reason', async () => {
    await fresh(Array.from({ length: 45 }, () => 'A baker').join(' '));
    const { tokens, capacity } = await session.state();
    const end = model.tokenizer.addedToken('<|end|>')!;
    const { last, ids } = await collect(session, { sampling: { logitBias: { [end]: -Infinity } } });
    expect(last.finishReason).toBe('context');
    expect(ids).toHaveLength(capacity - tokens + 1);
    await session.close();
  });

  test('an empty or closed session says so', async () => {
    session = await model.openSession();
    await expect(collect(session)).rejects.toThrow(/session is empty/);
    await session.close();
    await expect(session.sync('x')).rejects.toThrow(/closed/);
  });
});

describe('model', () => {
  test('generate reuses the cache of a prompt it continues', async () => {
    const first = await collect(
      { generate: (o) => model.generate('The quick brown fox', o) },
      { maxTokens: 6 },
    );
    const second = await collect(
      { generate: (o) => model.generate(`The quick brown fox${first.text}`, o) },
      { maxTokens: 4 },
    );
    expect(second.last.usage!.cachedTokens).toBeGreaterThanOrEqual(4);
  });

  test('goes on in the cache that a one-token request is still filling', async () => {
    const prompt = 'A tailor sews 5 coats and 7 hats.';
    const warm = collect({ generate: (o) => model.generate(prompt, o) }, { maxTokens: 1 });
    const more = await collect({ generate: (o) => model.generate(`${prompt} How`, o) }, { maxTokens: 2 });
    const { promptTokens } = (await warm).last.usage!;
    expect(more.last.usage!.cachedTokens).toBeGreaterThanOrEqual(promptTokens - 1);
  });

  test('two generations at once do not disturb each other', async () => {
    const alone = await collect({ generate: (o) => model.generate('The lazy dog', o) }, { maxTokens: 12 });
    const [a, b] = await Promise.all([
      collect({ generate: (o) => model.generate('The lazy dog', o) }, { maxTokens: 12 }),
      collect({ generate: (o) => model.generate('3 * 12 = ', o) }, { maxTokens: 12 }),
    ]);
    expect(a.text).toBe(alone.text);
    expect(b.ids).toHaveLength(12);
  });

  test('scores agree with transformers', async () => {
    const scored = await model.score({ ids: reference.ids }, 2);
    expect(scored[0]!.logprob).toBeNull();
    reference.nextLogprobs.forEach((p, i) => expect(scored[i + 1]!.logprob).toBeCloseTo(p, 3));
    expect(scored[5]!.top).toHaveLength(2);
    await expect(model.score({ ids: [] })).rejects.toThrow(/at least one token/);
  });

  test('the chat template of the checkpoint is used', async () => {
    expect(await model.renderChat([{ role: 'user', content: 'Hi' }])).toBe(
      '<|begin|>user\nHi<|end|><|begin|>assistant\n',
    );
  });

  test('a second opening finds the compiled model, and bad paths get one line', async () => {
    const again = await openLocal(path.join(fixtures, 'tiny'), {
      compile: { context: [64, 192], chunk: 16, layersPerGraph: 2 },
    });
    expect(again.manifest.files).toEqual(model.manifest.files);
    await again.close();
    await expect(openLocal('no/such/model')).rejects.toThrow(/no model at no\/such\/model/);
    await expect(openLocal(path.join(fixtures, 'tokenizers'))).rejects.toThrow(/neither baton.json/);
    await expect(openLocal(path.join(fixtures, 'tiny'), { target: 'webgpu' })).rejects.toThrow(
      /webgpu: needs a browser/,
    );
  });
});
