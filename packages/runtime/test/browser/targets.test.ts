// Every browser target in real Chromium: the page opens the model in a worker, and scores and text must be those of
// transformers. WebNN runs on XNNPACK and WebGPU on SwiftShader here; the graphs must be taken whole.
import { readFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { compileDirectory, DirectoryFiles } from '@baton/compiler/node';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { nodeTargets } from '../../src/node/index.ts';
import { openModel } from '../../src/open-model.ts';
import type { GenerateOptions } from '../../src/text-model.ts';
import { openTestBrowser, type TestBrowser } from './harness.ts';

const here = fileURLToPath(new URL('.', import.meta.url));
const fixtures = path.join(here, '../fixtures');
interface Reference {
  text: string;
  textIds: number[];
  watch: number[];
  watched: number[][];
  argmax: number[];
  lastLogprobs: number[];
  continuation: number[];
  end: number;
}
const reference = JSON.parse(readFileSync(path.join(fixtures, 'tiny.reference.json'), 'utf8')) as Reference;

let folder: string;
let browser: TestBrowser;
beforeAll(async () => {
  folder = await mkdtemp(path.join(os.tmpdir(), 'baton-model-'));
  // Two capacities: the text of the parity tests grows out of the first on every target.
  await compileDirectory(path.join(fixtures, 'tiny'), path.join(folder, 'tiny'), {
    context: [32, 1024],
    chunk: 16,
  });
  await compileDirectory(path.join(fixtures, 'tiny'), path.join(folder, 'bytes'), {
    context: 64,
    chunk: 16,
    weights: 'int4',
    lowering: 'fused',
    attention: 'grouped',
    prefillWeights: 'bytes',
  });
  browser = await openTestBrowser({
    page: path.join(here, 'page'),
    serve: {
      '/model/': path.join(folder, 'tiny'),
      '/bytes/': path.join(folder, 'bytes'),
      '/checkpoint/': path.join(fixtures, 'tiny'),
    },
  });
});
afterAll(async () => {
  await browser?.close();
  await rm(folder, { recursive: true, force: true });
});

test('probes give every target a reason', async () => {
  const probes = await browser.page.evaluate(() => window.baton.probeTargets());
  for (const probe of probes) expect(probe.reason).not.toBe('');
  const available = probes.filter((p) => p.available).map((p) => p.target);
  expect(available).toEqual(expect.arrayContaining(['wasm', 'webgpu', 'webnn-cpu']));
});

/** Ways to choose tokens that must not depend on the target. */
const VARIANTS: Record<string, GenerateOptions> = {
  penalised: {
    maxTokens: 8,
    sampling: { repetitionPenalty: 1.3, presencePenalty: 0.4, frequencyPenalty: 0.2 },
  },
  stopped: { maxTokens: 16, stop: ['&你'] },
  included: { maxTokens: 16, stop: ['&你'], includeStop: true },
  seeded: { maxTokens: 8, sampling: { temperature: 0.9, topK: 40, topP: 0.95, minP: 0.01, seed: 11 } },
};
/**
 * Tokens that may arrive behind the abort, written before its message was there: one or two, and on a fast target many on a
 * busy machine. A worker that never looks at its messages writes to the end of the context, about 1000.
 */
const IN_FLIGHT = 400;

type Written = Record<string, { ids: number[]; text: string; stopped: string }>;
let fromNode: Promise<Written> | null = null;

/** What ort-cpu in Node writes with every variant. */
function inNode(): Promise<Written> {
  return (fromNode ??= (async () => {
    const files = new DirectoryFiles(path.join(folder, 'tiny'));
    const model = await openModel(files, { targets: nodeTargets(), target: 'ort-cpu' });
    const written: Written = {};
    for (const [name, options] of Object.entries(VARIANTS)) {
      const one = { ids: [] as number[], text: '', stopped: '' };
      for await (const chunk of model.generate(reference.text, options)) {
        one.ids.push(...chunk.tokenIds);
        one.text += chunk.text;
        one.stopped = chunk.stopped ?? one.stopped;
      }
      written[name] = one;
    }
    await model.close();
    return written;
  })());
}

describe.each(['wasm', 'wasm-simd', 'webgpu', 'webnn-cpu', 'webnn-gpu', 'webnn-npu'] as const)(
  '%s',
  (target) => {
    test(`${target} takes the whole graph and agrees with transformers`, async () => {
      const result = await browser.page.evaluate(
        async ({ target, text, watch, vocabulary, variants }) => {
          const model = await window.baton.openWorkerModel(
            { kind: 'compiled', url: new URL('/model/', location.href).href },
            { target },
          );
          try {
            const session = await model.openSession();
            const { watched } = await session.sync(text, { watch });
            const chunks = [];
            for await (const chunk of session.generate({ maxTokens: 20, topLogprobs: vocabulary }))
              chunks.push(chunk);
            const written = async (options: GenerateOptions) => {
              await session.sync(text);
              const ids: number[] = [];
              let [text_, stopped] = ['', ''];
              for await (const chunk of session.generate(options)) {
                ids.push(...chunk.tokenIds);
                text_ += chunk.text;
                stopped = chunk.stopped ?? stopped;
              }
              return { ids, text: text_, stopped };
            };
            const choices: Record<string, Awaited<ReturnType<typeof written>>> = {};
            for (const [name, options] of Object.entries(variants)) choices[name] = await written(options);
            const again = await written(variants['seeded']!);
            // Writes on and on unless the abort reaches it.
            const ban = Object.fromEntries(model.manifest.stopIds.map((id) => [id, -Infinity]));
            const held = (await session.sync(text), (await session.state()).tokens);
            const abort = new AbortController();
            let [seen, reason, behind] = [0, '', 0];
            for await (const chunk of session.generate({
              signal: abort.signal,
              sampling: { logitBias: ban },
            })) {
              reason = chunk.finishReason ?? reason;
              if (abort.signal.aborted) behind += chunk.tokenIds.length;
              seen += chunk.tokenIds.length;
              if (seen === 2) abort.abort();
            }
            const { tokens } = await session.state();
            return {
              location: model.location,
              watched,
              first: chunks[0]!.logprobs![0]!.top!,
              ids: chunks.flatMap((c) => [...c.tokenIds]),
              choices,
              again,
              cancelled: { seen, reason, behind, kept: tokens - held },
            };
          } finally {
            await model.close();
          }
        },
        {
          target,
          text: reference.text,
          watch: reference.watch,
          vocabulary: reference.lastLogprobs.length,
          variants: VARIANTS,
        },
      );
      expect(result.location).toBe(target);
      // Every way to choose a token writes what ort-cpu in Node writes with it, and a seed writes the same twice.
      expect(result.choices).toEqual(await inNode());
      expect(result.again).toEqual(result.choices['seeded']);
      expect(result.choices['stopped']!.stopped).toBe(VARIANTS['stopped']!.stop![0]);
      // The step that runs while the abort is on its way is the last one.
      expect(result.cancelled.reason).toBe('aborted');
      expect(result.cancelled.behind).toBeLessThanOrEqual(IN_FLIGHT);
      expect(result.cancelled.kept).toBe(result.cancelled.seen);
      expect(result.watched).toHaveLength(reference.textIds.length);
      expect(
        relativeError(
          result.watched.flatMap((w) => [...w.logprobs]),
          reference.watched.flat(),
        ),
      ).toBeLessThan(1e-3);
      expect(result.watched.map((w) => w.argmax)).toEqual(reference.argmax);
      const last = result.first.toSorted((a, b) => a.id - b.id).map((t) => t.logprob);
      expect(relativeError(last, reference.lastLogprobs)).toBeLessThan(1e-3);
      // transformers was asked to go on behind the end token; a model here stops at it.
      expect(reference.continuation).toContain(reference.end);
      expect(result.ids).toEqual(
        reference.continuation.slice(0, reference.continuation.indexOf(reference.end)),
      );
      // SwiftShader compiles every shader of four graphs on the CPU: a minute on two idle cores, more on busy ones.
    }, 240_000);
  },
);

test.each(['wasm-simd', 'wasm', 'webgpu', 'webnn-cpu'] as const)(
  '%s slides past a full cache and writes what Node writes',
  async (target) => {
    const sliding = { maxCapacity: 32, whenFull: 'slide' as const };
    const files = new DirectoryFiles(path.join(folder, 'tiny'));
    const here = await openModel(files, { ...sliding, targets: nodeTargets(), target: 'ort-cpu' });
    const expected: number[] = [];
    for await (const chunk of here.generate(reference.text, { maxTokens: 6 }))
      expected.push(...chunk.tokenIds);
    await here.close();
    const ids = await browser.page.evaluate(
      async ({ target, text, sliding }) => {
        const url = new URL('/model/', location.href).href;
        const model = await window.baton.openWorkerModel({ kind: 'compiled', url }, { ...sliding, target });
        try {
          const out: number[] = [];
          for await (const chunk of model.generate(text, { maxTokens: 6 })) out.push(...chunk.tokenIds);
          return out;
        } finally {
          await model.close();
        }
      },
      { target, text: reference.text, sliding },
    );
    expect(expected).toHaveLength(6);
    expect(ids).toEqual(expected);
  },
  240_000,
);

test('wasm takes int4 weights that are unpacked for prompts and scores as Node does; webgpu refuses them in one line', async () => {
  const files = new DirectoryFiles(path.join(folder, 'bytes'));
  const here = await openModel(files, { targets: nodeTargets(), target: 'ort-cpu' });
  const session = await here.openSession();
  const expected = (await session.sync(reference.text, { watch: reference.watch })).watched;
  await here.close();
  const watched = await browser.page.evaluate(
    async ({ text, watch }) => {
      const url = new URL('/bytes/', location.href).href;
      const model = await window.baton.openWorkerModel({ kind: 'compiled', url }, { target: 'wasm' });
      try {
        const session = await model.openSession();
        return (await session.sync(text, { watch })).watched.map((w) => [...w.logprobs]);
      } finally {
        await model.close();
      }
    },
    { text: reference.text, watch: reference.watch },
  );
  const refusal = browser.page.evaluate(async () => {
    const url = new URL('/bytes/', location.href).href;
    await window.baton.openWorkerModel({ kind: 'compiled', url }, { target: 'webgpu', fallback: false });
  });
  await expect(refusal).rejects.toThrow(/webgpu does not take prefill-64-0-2.onnx: /);
  expect(
    relativeError(
      watched.flat(),
      expected.flatMap((w) => [...w.logprobs]),
    ),
  ).toBeLessThan(0.05);
}, 240_000);

function relativeError(got: readonly number[], want: readonly number[]): number {
  expect(got).toHaveLength(want.length);
  const diff = got.reduce((sum, g, i) => sum + (g - want[i]!) ** 2, 0);
  return Math.sqrt(diff / want.reduce((sum, w) => sum + w ** 2, 0));
}

test('a checkpoint is compiled in the worker and gives the same text', async () => {
  const result = await browser.page.evaluate(async (text) => {
    const stages = new Set<string>();
    const model = await window.baton.openWorkerModel(
      {
        kind: 'checkpoint',
        url: new URL('/checkpoint/', location.href).href,
        compile: { context: 256, chunk: 16 },
      },
      { target: 'wasm', onProgress: (p) => stages.add(p.stage) },
    );
    try {
      const ids: number[] = [];
      for await (const chunk of model.generate(text, { maxTokens: 9 })) ids.push(...chunk.tokenIds);
      return { ids, stages: [...stages], chat: await model.renderChat([{ role: 'user', content: 'Hi' }]) };
    } finally {
      await model.close();
    }
  }, reference.text);
  expect(result.ids).toEqual(reference.continuation.slice(0, 9));
  expect(result.stages).toContain('compiling');
  expect(result.chat).toBe('<|begin|>user\nHi<|end|><|begin|>assistant\n');
});

test('an abort reaches the worker within a step, and a killed worker is replaced by the next target with a note', async () => {
  const result = await browser.page.evaluate(async (text) => {
    const url = new URL('/model/', location.href).href;
    const model = await window.baton.openWorkerModel(
      { kind: 'compiled', url },
      { target: 'webnn-cpu', order: ['webnn-cpu', 'wasm'] },
    );
    try {
      const abort = new AbortController();
      const aborted = [];
      for await (const chunk of model.generate(text, { signal: abort.signal })) {
        aborted.push(chunk);
        if (aborted.length === 2) abort.abort();
      }
      const first = model.location;
      const ids: number[] = [];
      const notes: string[] = [];
      for await (const chunk of model.generate(text, { maxTokens: 8 })) {
        ids.push(...chunk.tokenIds);
        notes.push(...(chunk.notes ?? []));
        if (ids.length === 3) model.kill('killed by the test');
      }
      return {
        reason: aborted.at(-1)!.finishReason,
        steps: aborted.length,
        first,
        second: model.location,
        ids,
        notes,
      };
    } finally {
      await model.close();
    }
  }, reference.text);
  expect(result).toMatchObject({ reason: 'aborted', first: 'webnn-cpu', second: 'wasm' });
  expect(result.ids).toEqual(reference.continuation.slice(0, 8));
  expect(result.notes.join()).toMatch(/webnn-cpu: killed by the test; went on with wasm/);
});

test('what cannot be opened is refused with its reason', async () => {
  const open = (url: string, target: 'wasm' | 'ort-cpu'): Promise<string> =>
    browser.page.evaluate(
      async ({ url, target }) => {
        try {
          await window.baton.openWorkerModel(
            { kind: 'compiled', url: new URL(url, location.href).href },
            { target },
          );
          return 'opened';
        } catch (error) {
          return String(error);
        }
      },
      { url, target },
    );
  expect(await open('/nothing/', 'wasm')).toMatch(/baton\.json answered 404; check the address/);
  expect(await open('/model/', 'ort-cpu')).toMatch(/ort-cpu: does not exist in a browser/);
});

test('auto takes a measured target, remembers it, and says why it did not take others', async () => {
  const result = await browser.page.evaluate(async () => {
    const url = new URL('/model/', location.href).href;
    const open = async () => {
      const model = await window.baton.openWorkerModel(
        { kind: 'compiled', url },
        { target: 'auto', order: ['webgpu', 'wasm-simd', 'wasm'] },
      );
      const found = { location: model.location, failures: [...model.failures] };
      await model.close();
      return found;
    };
    return [await open(), await open()];
  });
  expect(['wasm-simd', 'wasm']).toContain(result[0]!.location);
  expect(result[0]!.failures).toEqual([['webgpu', expect.stringMatching(/emulates a GPU on the CPU/)]]);
  expect(result[1]).toEqual({ location: result[0]!.location, failures: [] });
});

test('auto may open a quick target at once and measure the others between runs', async () => {
  const result = await browser.page.evaluate(async (text) => {
    const url = new URL('/model/', location.href).href;
    const open = () =>
      window.baton.openWorkerModel(
        { kind: 'compiled', url },
        // Not the order of the test above: what that one measured is remembered.
        { target: 'auto', order: ['webgpu', 'wasm', 'wasm-simd'], measure: 'after' },
      );
    const first = await open();
    const at = { location: first.location, failures: [...first.failures] };
    const ids: number[] = [];
    for await (const chunk of first.generate(text, { maxTokens: 5 })) ids.push(...chunk.tokenIds);
    const measured = await first.measured;
    const later = [...first.failures];
    await first.close();
    const second = await open();
    const again = { location: second.location, measured: await second.measured };
    await second.close();
    return { at, ids, measured, later, again };
  }, reference.text);
  expect(result.at).toEqual({ location: 'wasm-simd', failures: [] });
  expect(result.ids).toEqual(reference.continuation.slice(0, 5));
  expect(['wasm-simd', 'wasm']).toContain(result.measured);
  expect(result.later).toEqual([['webgpu', expect.stringMatching(/emulates a GPU on the CPU/)]]);
  expect(result.again).toEqual({ location: result.measured, measured: result.measured });
});

test('a GPU process that crashes in the middle of a text: it goes on with the next target and says so', async () => {
  const page = await browser.newPage();
  await page.exposeFunction('crashGpu', () => browser.crashGpu());
  const result = await page.evaluate(async (text) => {
    const url = new URL('/model/', location.href).href;
    const model = await window.baton.openWorkerModel(
      { kind: 'compiled', url },
      { target: 'webgpu', order: ['webgpu', 'wasm-simd'] },
    );
    try {
      const session = await model.openSession();
      const ids: number[] = [];
      const notes: string[] = [];
      const more = async (maxTokens: number): Promise<void> => {
        for await (const chunk of session.generate({ maxTokens })) {
          ids.push(...chunk.tokenIds);
          notes.push(...(chunk.notes ?? []));
        }
      };
      await session.sync(text);
      await more(2);
      const before = model.location;
      // The worker is told to write on while the device goes away under it.
      await Promise.all([(window as unknown as { crashGpu(): Promise<void> }).crashGpu(), more(7)]);
      return { before, ids, notes, after: model.location };
    } finally {
      await model.close();
    }
  }, reference.text);
  await page.close();
  expect(result).toMatchObject({ before: 'webgpu', after: 'wasm-simd' });
  expect(result.ids).toEqual(reference.continuation.slice(0, 9));
  expect(result.notes.join()).toMatch(/^webgpu: the GPU device was lost.*; went on with wasm-simd$/);
}, 240_000);
