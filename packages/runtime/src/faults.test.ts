// What happens when a target is not to be trusted: wrong numbers, a device that is lost in the middle of a text. The
// faults are put into a real backend's results, in place of hardware that fails on request.
import { mkdtemp, rm } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Manifest, ModelFiles } from '@baton/compiler';
import { DirectoryFiles } from '@baton/compiler/node';
import { compileDirectory } from '@baton/compiler/node';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import {
  BackendLostError,
  type Backend,
  type ForwardResult,
  type Sequence,
  type TargetId,
} from './backend.ts';
import { memoryFacts } from './facts.ts';
import { nodeTargets } from './node/index.ts';
import { openModel } from './open-model.ts';
import type { TargetSet } from './targets/target-set.ts';
import type { TextChunk } from './text-model.ts';

const fixtures = fileURLToPath(new URL('../test/fixtures/', import.meta.url));
let folder: string;
let files: DirectoryFiles;
beforeAll(async () => {
  folder = await mkdtemp(path.join(os.tmpdir(), 'baton-faults-'));
  await compileDirectory(path.join(fixtures, 'tiny'), path.join(folder, 'tiny'), { context: 128, chunk: 16 });
  files = new DirectoryFiles(path.join(folder, 'tiny'));
});
afterAll(async () => rm(folder, { recursive: true, force: true }));

/** Stands for faulty hardware: a real backend whose results pass through `fault`, which may change them or throw. */
function faulty(
  backend: Backend,
  fault: (result: ForwardResult) => ForwardResult,
  mostSlots = Infinity,
): Backend {
  return {
    target: backend.target,
    vocabSize: backend.vocabSize,
    maxRows: backend.maxRows,
    capacities: backend.capacities,
    description: backend.description,
    close: () => backend.close(),
    createSequence: async (capacity): Promise<Sequence> => {
      if ((capacity ?? 0) > mostSlots) throw new RangeError('Array buffer allocation failed');
      const real = await backend.createSequence(capacity);
      return {
        capacity: real.capacity,
        forward: async (tokens, position, wanted) => fault(await real.forward(tokens, position, wanted)),
        close: () => real.close(),
      };
    },
  };
}

/** Node's targets, with `fault` in one of them. */
function withFault(
  target: TargetId,
  fault: (result: ForwardResult) => ForwardResult,
  mostSlots?: number,
): TargetSet & { opened: TargetId[] } {
  const real = nodeTargets();
  const opened: TargetId[] = [];
  return {
    order: real.order,
    facts: memoryFacts(),
    probe: (t) => real.probe(t),
    opened,
    open: async (t, manifest, modelFiles) => {
      opened.push(t);
      const backend = await real.open(t, manifest, modelFiles);
      return t === target ? faulty(backend, fault, mostSlots) : backend;
    },
  };
}

async function text(stream: AsyncIterable<TextChunk>): Promise<{ ids: number[]; notes: string[] }> {
  const ids: number[] = [];
  const notes: string[] = [];
  for await (const chunk of stream) {
    ids.push(...chunk.tokenIds);
    notes.push(...(chunk.notes ?? []));
  }
  return { ids, notes };
}

const prompt = 'A baker makes 24 loaves.';

describe('self-test', () => {
  test.each([
    ['one logit in a hundred off by two', (x: number, i: number) => (i % 100 === 0 ? x + 2 : x)],
    ['everything scaled', (x: number) => x * 1.01],
    ['not a number', () => Number.NaN],
  ])('a target with wrong numbers is refused with them: %s', async (_name, wrong) => {
    const targets = withFault('ort-cpu', (r) => (r.logits ? { ...r, logits: r.logits.map(wrong) } : r));
    await expect(openModel(files, { targets, target: 'ort-cpu' })).rejects.toThrow(
      /ort-cpu gives wrong numbers for tiny: relative error \S+ against/,
    );
  });

  test('weights that a target reads wrongly are noticed: here one whose file is not what the reference read', async () => {
    const manifest = JSON.parse(new TextDecoder().decode(await files.read('baton.json'))) as Manifest;
    const at = manifest.tensors['layers.1.down']!;
    const twisted: ModelFiles = {
      size: (file) => files.size(file),
      read: async (file, offset = 0, length) => {
        const bytes = await files.read(file, offset, length);
        // One block of one matrix, with its signs turned.
        if (file === manifest.weightsFile && offset === 0)
          for (let i = 3; i < 2048; i += 4) bytes[at.offset + i]! ^= 0x80;
        return bytes;
      },
    };
    const real = nodeTargets();
    const targets: TargetSet = {
      ...real,
      facts: memoryFacts(),
      open: (target, m) => real.open(target, m, twisted),
    };
    await expect(openModel(files, { targets, target: 'ort-cpu' })).rejects.toThrow(
      /ort-cpu gives wrong numbers for tiny: relative error 0\.\d+ against the reference/,
    );
  });

  test('hidden states that cross between graphs as f16 are rounded, not wrong', async () => {
    const rounded = path.join(folder, 'f16-boundary');
    await compileDirectory(path.join(fixtures, '../../../compiler/test/fixtures/gemma2'), rounded, {
      context: 128,
      chunk: 16,
      boundary: 'f16',
    });
    const model = await openModel(new DirectoryFiles(rounded), { targets: nodeTargets(), target: 'ort-cpu' });
    expect(model.location).toBe('ort-cpu');
    await model.close();
  });

  test('where the order allows, the next target takes over', async () => {
    const targets = withFault('ort-cpu', (r) => (r.logits ? { ...r, logits: r.logits.map((x) => -x) } : r));
    const model = await openModel(files, { targets });
    expect(model.location).toBe('wasm-simd');
    await model.close();
  });

  test('both real targets pass, and passing is remembered', async () => {
    const facts = memoryFacts();
    let references = 0;
    const counted = {
      get: facts.get,
      set: (k: string, v: unknown) => (k.startsWith('reference') ? references++ : 0, facts.set(k, v)),
    };
    for (const target of ['ort-cpu', 'wasm-simd', 'ort-cpu'] as const) {
      const model = await openModel(files, { targets: { ...nodeTargets(), facts: counted }, target });
      expect(model.location).toBe(target);
      await model.close();
    }
    expect(references).toBe(1);
  });
});

describe('a lost target', () => {
  test('in the middle of a text: it goes on elsewhere with the same tokens, and says so', async () => {
    const whole = await openModel(files, { targets: nodeTargets() });
    const expected = await text(whole.generate(prompt, { maxTokens: 16 }));
    await whole.close();

    let steps = 0;
    const targets = withFault('ort-cpu', (r) => {
      if (++steps === 8) throw new BackendLostError('ort-cpu', 'the device was lost');
      return r;
    });
    const model = await openModel(files, { targets, selfTest: false });
    const result = await text(model.generate(prompt, { maxTokens: 16 }));
    expect(result.ids).toEqual(expected.ids);
    expect(result.notes).toEqual(['ort-cpu: the device was lost; went on with wasm-simd']);
    expect(model.location).toBe('wasm-simd');
    // A session that was idle meanwhile goes on there too.
    expect((await text(model.generate(prompt, { maxTokens: 4 }))).ids).toEqual(expected.ids.slice(0, 4));
    await model.close();
  });

  test('in the middle of a prompt: what was read before is not read twice', async () => {
    const long = `${prompt} How many loaves are left after 17 are sold? `.repeat(2);
    const whole = await openModel(files, { targets: nodeTargets() });
    const expected = await text(whole.generate(long, { maxTokens: 8 }));
    await whole.close();
    let passes = 0;
    const targets = withFault('ort-cpu', (r) => {
      if (++passes === 3) throw new BackendLostError('ort-cpu', 'the device was lost');
      return r;
    });
    const model = await openModel(files, { targets, selfTest: false });
    const result = await text(model.generate(long, { maxTokens: 8 }));
    expect(model.location).toBe('wasm-simd');
    expect(result.ids).toEqual(expected.ids);
    expect(result.notes).toEqual(['ort-cpu: the device was lost; went on with wasm-simd']);
    await model.close();
  });

  test('in the middle of exact tokens: none of them is taken twice', async () => {
    let passes = 0;
    const targets = withFault('ort-cpu', (r) => {
      if (++passes === 2) throw new BackendLostError('ort-cpu', 'the device was lost');
      return r;
    });
    const model = await openModel(files, { targets, selfTest: false });
    const ids = model.tokenizer.encodeSequence(prompt.repeat(5));
    const session = await model.openSession();
    await session.syncTokens(ids);
    expect(model.location).toBe('wasm-simd');
    expect(session.tokens).toEqual(ids);
    await model.close();
  });

  test('a session that was being opened then works on the next one', async () => {
    const real = nodeTargets();
    const opening = Promise.withResolvers<void>();
    const moved = Promise.withResolvers<void>();
    let caches = 0;
    const targets: TargetSet = {
      ...real,
      facts: memoryFacts(),
      open: async (target, manifest, modelFiles) => {
        const backend = await real.open(target, manifest, modelFiles);
        if (target !== 'ort-cpu') return backend;
        const lost = faulty(backend, () => {
          throw new BackendLostError('ort-cpu', 'gone');
        });
        const createSequence = async (capacity?: number): Promise<Sequence> => {
          const sequence = await lost.createSequence(capacity);
          if (++caches === 2) {
            opening.resolve();
            await moved.promise;
          }
          return sequence;
        };
        return { ...lost, createSequence };
      },
    };
    const model = await openModel(files, { targets, selfTest: false });
    const first = await model.openSession();
    const late = model.openSession();
    await opening.promise;
    await first.sync(prompt);
    moved.resolve();
    const second = await late;
    await second.sync(prompt);
    expect((await text(second.generate({ maxTokens: 5 }))).ids).toEqual(
      (await text(first.generate({ maxTokens: 5 }))).ids,
    );
    expect(model.location).toBe('wasm-simd');
    await model.close();
  });

  test('no memory to grow: the conversation grows on the next target', async () => {
    const growing = new DirectoryFiles(path.join(folder, 'growing'));
    await compileDirectory(path.join(fixtures, 'tiny'), path.join(folder, 'growing'), {
      context: [16, 64],
      chunk: 8,
    });
    const whole = await openModel(growing, { targets: nodeTargets() });
    const expected = await text(whole.generate(prompt, { maxTokens: 20 }));
    await whole.close();
    const targets = withFault('ort-cpu', (r) => r, 16);
    const model = await openModel(growing, { targets });
    const result = await text(model.generate(prompt, { maxTokens: 20 }));
    expect(model.location).toBe('wasm-simd');
    expect(result.ids).toEqual(expected.ids);
    expect(result.notes.join()).toBe(
      'ort-cpu: no room for a cache of 64 slots: Array buffer allocation failed; went on with wasm-simd',
    );
    await model.close();
  });

  test('every open session moves', async () => {
    let lost = false;
    const targets = withFault('ort-cpu', (r) => {
      if (lost) throw new BackendLostError('ort-cpu', 'gone');
      return r;
    });
    const model = await openModel(files, { targets });
    const [a, b] = [await model.openSession(), await model.openSession()];
    await a.sync(prompt);
    await b.sync(`${prompt} How many`);
    lost = true;
    const [fromA, fromB] = await Promise.all([
      text(a.generate({ maxTokens: 5 })),
      text(b.generate({ maxTokens: 5 })),
    ]);
    expect(fromA.ids).toEqual((await text(model.generate(prompt, { maxTokens: 5 }))).ids);
    expect(fromB.ids).toEqual((await text(model.generate(`${prompt} How many`, { maxTokens: 5 }))).ids);
    expect(targets.opened).toEqual(['ort-cpu', 'wasm-simd']);
    await model.close();
  });

  test('numbers that overflow in the middle of a text are a loss like any other', async () => {
    const whole = await openModel(files, { targets: nodeTargets() });
    const expected = await text(whole.generate(prompt, { maxTokens: 12 }));
    await whole.close();
    let passes = 0;
    const overflow = (r: ForwardResult): ForwardResult =>
      ++passes > 6 && r.logits ? { ...r, logits: r.logits.map(() => Number.NaN) } : r;
    const model = await openModel(files, { targets: withFault('ort-cpu', overflow), selfTest: false });
    const result = await text(model.generate(prompt, { maxTokens: 12 }));
    expect(result.ids).toEqual(expected.ids);
    expect(result.notes.join()).toMatch(
      /^ort-cpu: .* logits that are not numbers.*; went on with wasm-simd$/,
    );
    await model.close();
    passes = 6;
    const alone = await openModel(files, {
      targets: withFault('ort-cpu', overflow),
      target: 'ort-cpu',
      fallback: false,
      selfTest: false,
    });
    await expect(alone.score({ text: prompt })).rejects.toThrow(/logits that are not numbers/);
    await alone.close();
  });

  test('with no target left the error names every loss', async () => {
    const targets = withFault('ort-cpu', () => {
      throw new BackendLostError('ort-cpu', 'gone');
    });
    const model = await openModel(files, {
      targets: { ...targets, order: ['ort-cpu'] },
      selfTest: false,
    });
    await expect(text(model.generate(prompt))).rejects.toThrow(
      /ort-cpu: gone, and no other target took over: .*ort-cpu: lost while running/,
    );
    await model.close();
  });

  test('without fallback the loss itself reaches the caller, who may move on', async () => {
    const targets = withFault('ort-cpu', () => {
      throw new BackendLostError('ort-cpu', 'gone');
    });
    const model = await openModel(files, { targets, fallback: false, selfTest: false });
    await expect(text(model.generate(prompt))).rejects.toThrow(BackendLostError);
    await model.close();
  });
});

test('a prompt whose reading is cancelled half-way: the session says what it holds', async () => {
  const abort = new AbortController();
  let passes = 0;
  const targets = withFault('ort-cpu', (r) => {
    if (++passes === 4) abort.abort();
    return r;
  });
  const model = await openModel(files, { targets, target: 'ort-cpu', selfTest: false });
  const session = await model.openSession();
  await session.sync('A baker makes 24 rolls. How many');
  passes = 2;
  const asked = 'A baker makes 24 loaves. How many loaves are left? '.repeat(3);
  await expect(session.sync(asked, { signal: abort.signal })).rejects.toThrow(/cancelled/);
  const { text: held, tokens } = await session.state();
  expect(tokens).toBeGreaterThan(16);
  expect(held).toBe(model.tokenizer.decode([...session.tokens]));
  expect(asked.startsWith(held)).toBe(true);
  await model.close();
});

test('auto takes the target that measures fastest, here the one that is not slowed down, and remembers it', async () => {
  const slow = (r: ForwardResult): ForwardResult => {
    const until = performance.now() + 30;
    while (performance.now() < until);
    return r;
  };
  const targets = withFault('ort-cpu', slow);
  const model = await openModel(files, { targets, target: 'auto' });
  expect(model.location).toBe('wasm-simd');
  await model.close();
  targets.opened.length = 0;
  await (await openModel(files, { targets, target: 'auto' })).close();
  expect(targets.opened).toEqual(['wasm-simd']);
});
