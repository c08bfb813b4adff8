// Decode steps on WebGPU (SwiftShader here) that ONNX Runtime records once and replays: several conversations change
// places in the recorded buffers and write what Node writes; where recording is not possible or gives other numbers, the
// plain steps run and the description says why.
import { mkdtemp, rm } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { compileDirectory, DirectoryFiles } from '@baton/compiler/node';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { nodeTargets } from '../../src/node/index.ts';
import { openModel } from '../../src/open-model.ts';
import { openTestBrowser, type TestBrowser } from './harness.ts';

const here = fileURLToPath(new URL('.', import.meta.url));
let folder: string;
let browser: TestBrowser;
beforeAll(async () => {
  folder = await mkdtemp(path.join(os.tmpdir(), 'baton-model-'));
  await compileDirectory(path.join(here, '../fixtures/tiny'), path.join(folder, 'tiny'), {
    context: [32, 128],
    chunk: 16,
    layersPerGraph: 1,
  });
  browser = await openTestBrowser({
    page: path.join(here, 'page'),
    serve: { '/model/': path.join(folder, 'tiny') },
  });
});
afterAll(async () => {
  await browser?.close();
  await rm(folder, { recursive: true, force: true });
});

const texts = ['A baker makes 24 loaves.', 'Tom has 3 red pens and', 'What is 7 times 8?'];
/** Steps of each turn: conversations take turns, and grow out of the first capacity at different times. */
const turns = [3, 9, 12];

test('conversations that take turns in the recorded buffers write what Node writes', async () => {
  const here = await openModel(new DirectoryFiles(path.join(folder, 'tiny')), {
    targets: nodeTargets(),
    target: 'ort-cpu',
  });
  const expected: number[][] = [];
  const ban = Object.fromEntries(here.manifest.stopIds.map((id) => [id, -Infinity]));
  for (const text of texts) {
    const ids: number[] = [];
    const maxTokens = turns.reduce((a, b) => a + b);
    for await (const chunk of here.generate(text, { maxTokens, sampling: { logitBias: ban } }))
      ids.push(...chunk.tokenIds);
    expected.push(ids);
  }
  await here.close();
  const result = await browser.page.evaluate(
    async ({ texts, turns, ban }) => {
      const model = await window.baton.openWorkerModel(
        { kind: 'compiled', url: new URL('/model/', location.href).href },
        { target: 'webgpu' },
      );
      try {
        const sessions = await Promise.all(texts.map(() => model.openSession()));
        const ids: number[][] = texts.map(() => []);
        for (const [i, session] of sessions.entries()) await session.sync(texts[i]!);
        for (const maxTokens of turns) {
          for (const [i, session] of sessions.entries()) {
            for await (const chunk of session.generate({ maxTokens, sampling: { logitBias: ban } }))
              ids[i]!.push(...chunk.tokenIds);
          }
          // One that leaves gives the recorded buffers back for the others.
          if (maxTokens === turns[0]) {
            const guest = await model.openSession();
            await guest.sync(texts[0]!);
            for await (const _ of guest.generate({ maxTokens: 2 }));
            await guest.close();
          }
        }
        return { ids, description: model.description };
      } finally {
        await model.close();
      }
    },
    { texts, turns, ban },
  );
  expect(result.description).toMatch(/decode steps recorded and replayed$/);
  expect(result.ids).toEqual(expected);
}, 400_000);

test.each([
  // Stands for a graph with a node that the provider leaves to the CPU.
  ['refused', /decode steps not recorded \(webgpu does not take decode.*: not partitioned\)$/],
  // Stands for a replay that binds a stale buffer: what the host uploads does not arrive after the first runs.
  ['stale', /decode steps not recorded \(replays differ by \S+ from the prefill graph\)$/],
] as const)(
  'recording that is %s is not used, and the steps are right without it',
  async (fault, reason) => {
    const page = await browser.newPage();
    const result = await page.evaluate(async (fault) => {
      const { openOrtWeb, buildFor, loadOrt, urlFiles, parseManifest } = window.inside;
      const ort = await loadOrt(buildFor('webgpu'), 1);
      const create = ort.InferenceSession.create.bind(ort.InferenceSession) as (
        model: Uint8Array,
        options: { enableGraphCapture?: boolean },
      ) => Promise<import('onnxruntime-common').InferenceSession>;
      ort.InferenceSession.create = (async (model: Uint8Array, options: { enableGraphCapture?: boolean }) => {
        if (!options.enableGraphCapture) return create(model, options);
        if (fault === 'refused') throw new Error('not partitioned');
        const session = await create(model, options);
        let runs = 0;
        const queue = ((await ort.env.webgpu.device) as unknown as GPUDevice).queue;
        const write = queue.writeBuffer.bind(queue);
        const run = session.run.bind(session);
        session.run = (async (...args: Parameters<typeof run>) => {
          const out = await run(...args);
          if (++runs === 3) queue.writeBuffer = () => undefined;
          return out;
        }) as typeof session.run;
        const release = session.release.bind(session);
        session.release = async () => {
          queue.writeBuffer = write;
          await release();
        };
        return session;
      }) as typeof ort.InferenceSession.create;
      const files = urlFiles(new URL('/model/', location.href).href);
      const manifest = parseManifest(new TextDecoder().decode(await files.read('baton.json')));
      const backend = await openOrtWeb('webgpu', manifest, files);
      try {
        const sequence = await backend.createSequence();
        const tokens = [5, 9, 70, 33];
        const chunk = (await sequence.forward([...tokens, ...tokens], 0, 'all')).logits!.slice();
        let worst = 0;
        for (const [r, token] of tokens.entries()) {
          const { logits } = await sequence.forward([token], r, 'last');
          logits!.forEach((x, i) => {
            worst = Math.max(worst, Math.abs(x - chunk[r * backend.vocabSize + i]!));
          });
        }
        return { description: backend.description, worst };
      } finally {
        await backend.close();
      }
    }, fault);
    await page.close();
    expect(result.description).toMatch(reason);
    expect(result.worst).toBeLessThan(1e-3);
  },
  400_000,
);
