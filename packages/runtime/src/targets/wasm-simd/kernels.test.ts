// The committed kernel binaries are what their sources compile to.
import { readFile } from 'node:fs/promises';
import { expect, it } from 'vitest';
import { buildKernels } from '../../../kernels/build.mjs';
import { detectFeatures } from './features.ts';
import { loadKernelModule } from './kernels.ts';

it('come from the sources byte for byte (else run packages/runtime/kernels/build.mjs)', async () => {
  const modules = await buildKernels();
  expect([...modules.keys()].sort()).toEqual([
    'plain-own.wasm',
    'plain-shared.wasm',
    'relaxed-own.wasm',
    'relaxed-shared.wasm',
  ]);
  for (const [name, bytes] of modules) {
    const committed = await readFile(new URL(`./wasm/${name}`, import.meta.url));
    expect(Buffer.compare(committed, Buffer.from(bytes)), name).toBe(0);
  }
});

it('load where the engine has the features they need', async () => {
  const features = detectFeatures();
  expect(features).toMatchObject({ simd: true, relaxed: true, shared: true });
  const exported = WebAssembly.Module.exports(await loadKernelModule('relaxed', true)).map((e) => e.name);
  expect(exported).toEqual(expect.arrayContaining(['int4Pairs', 'int4Dot', 'int4Plain', 'attend']));
  const plain = WebAssembly.Module.exports(await loadKernelModule('plain', false)).map((e) => e.name);
  expect(plain).not.toContain('int4Pairs');
});
