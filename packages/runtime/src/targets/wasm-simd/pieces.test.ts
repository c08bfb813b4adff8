// However a model's matrices come into the heap, the same bytes lie there: packed whole from memory, or piece by piece from
// the files, by the host or by compute threads. And what goes wrong on a thread is said.
import { mkdtemp, open, rm, truncate } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { MANIFEST_FILE, parseManifest, type CompileOptions, type Manifest } from '@baton/compiler';
import { compileDirectory, DirectoryFiles } from '@baton/compiler/node';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { networkOf, storedWeightsOf, weightsOf } from './compiled.ts';
import { Heap } from './heap.ts';
import { openWasmSimd } from './index.ts';
import { loadPlan } from './load.ts';
import type { LoadableWeights } from './network.ts';
import { PiecePacker, type Piece } from './pieces.ts';
import { startThreads } from './pool.ts';
import { shareFiles } from './shared-files.ts';

const TINY = fileURLToPath(new URL('../../../test/fixtures/tiny', import.meta.url));
let folder = '';
beforeAll(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'baton-pieces-'));
});
afterAll(async () => rm(folder, { recursive: true, force: true }));

async function compiled(options: CompileOptions): Promise<{ manifest: Manifest; files: DirectoryFiles }> {
  const out = path.join(folder, JSON.stringify(options).replace(/\W+/g, '-'));
  await compileDirectory(TINY, out, { context: 64, chunk: 16, ...options });
  const files = new DirectoryFiles(out);
  return { manifest: parseManifest(new TextDecoder().decode(await files.read(MANIFEST_FILE))), files };
}

/** A heap with the model in it; `pack` does what loadPlan leaves to do. */
async function heapOf(
  manifest: Manifest,
  weights: LoadableWeights,
  pack: (pieces: Piece[], heap: Heap) => Promise<void>,
): Promise<Uint8Array> {
  const heap = new Heap(true);
  const { pieces } = await loadPlan(heap, networkOf(manifest), weights, {
    threads: 2,
    maxRows: 16,
    logitRows: 16,
    capacity: 64,
    int4: 'int4Plain',
    activationBits: 8,
  });
  await pack(pieces, heap);
  return heap.bytesAt(65536, heap.bytes - 65536).slice();
}

it.each<CompileOptions>([
  { weights: 'f32' },
  { weights: 'f16' },
  { weights: 'int8', lowering: 'portable' },
  { weights: 'int8', lowering: 'fused' },
  { weights: 'int4', lowering: 'portable' },
  { weights: 'int4', lowering: 'fused', group: 32 },
])('%j: the same heap from memory, from files here, and from files on threads', async (options) => {
  const { manifest, files } = await compiled(options);
  const whole = await heapOf(manifest, await weightsOf(manifest, files), async (pieces) =>
    expect(pieces).toEqual([]),
  );
  const stored = storedWeightsOf(manifest, files).weights;
  let count = 0;
  const here = await heapOf(manifest, stored, async (pieces, heap) => {
    count = pieces.length;
    const packer = new PiecePacker(heap.memory, async ({ file, offset, bytes }, into) =>
      into.set(await files.read(file, offset, bytes)),
    );
    // From the last to the first: threads take them in any order.
    for (const piece of pieces.reverse()) await packer.pack(piece);
  });
  expect(count).toBeGreaterThanOrEqual(7 * manifest.architecture.layers.length + 1);
  const onThreads = await heapOf(manifest, stored, async (pieces, heap) => {
    const threads = startThreads(heap.memory, 3);
    const names = pieces.map(({ numbers }) => numbers.file);
    await threads.pack(pieces, (await shareFiles(names, files))!);
    await threads.close();
  });
  expect(Buffer.compare(here, whole)).toBe(0);
  expect(Buffer.compare(onThreads, whole)).toBe(0);
});

it('a file that is shorter than its manifest says fails the packing with where it ends, and nothing hangs', async () => {
  const { manifest, files } = await compiled({ weights: 'f32', id: 'cut' });
  const loading = heapOf(manifest, storedWeightsOf(manifest, files).weights, async (pieces, heap) => {
    await truncate(path.join(files.directory, manifest.weightsFile), 4096);
    const threads = startThreads(heap.memory, 2);
    try {
      await threads.pack(pieces, (await shareFiles([manifest.weightsFile], files))!);
    } finally {
      await threads.close();
    }
  });
  await expect(loading).rejects.toThrow(/weights.bin ends at byte 4096; \d+ were expected/);
});

it('a scale that has no code fails it with the scale', async () => {
  const { manifest, files } = await compiled({ weights: 'int8', id: 'scales' });
  const { offset } = manifest.tensors['layers.0.down']!.scales!;
  const file = await open(path.join(files.directory, manifest.weightsFile), 'r+');
  await file.write(new Uint8Array(Float32Array.of(1e9).buffer), 0, 4, offset);
  await file.close();
  await expect(openWasmSimd(manifest, files, { threads: 2 })).rejects.toThrow(
    /a weight scale of 1000000000 is outside/,
  );
});
