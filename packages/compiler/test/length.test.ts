// Rotation that goes by the length of the sequence (longrope, dynamic), against transformers on both sides of the length at
// which it changes (fixtures/make-length-reference.py).
import { cpSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { expect, it } from 'vitest';
import { rotationChanges, type Manifest } from '../src/index.ts';
import { compileDirectory } from '../src/node/index.ts';
import { fixture, withFolder, worstError } from './fixtures.ts';
import { TestHost } from './host.ts';

interface LengthReference {
  fixture: string;
  rope: Record<string, unknown>;
  top: Record<string, unknown>;
  ids: number[];
  rows: { length: number; logits: number[] }[];
}

const url = new URL('./fixtures/length-reference.json', import.meta.url);
const cases = JSON.parse(readFileSync(url, 'utf8')) as Record<string, LengthReference>;

/** Compiles the case's fixture with its rotary fields put in. */
async function withCase(
  name: string,
  context: number[],
  work: (manifest: Manifest, out: string, reference: LengthReference) => Promise<void>,
): Promise<void> {
  await withFolder(async (folder) => {
    const reference = cases[name]!;
    const checkpoint = path.join(folder, 'checkpoint');
    cpSync(fixture(reference.fixture).directory, checkpoint, { recursive: true });
    const file = path.join(checkpoint, 'config.json');
    const config = JSON.parse(readFileSync(file, 'utf8')) as Record<string, unknown>;
    if (Object.keys(reference.rope).length > 0) {
      for (const field of ['rope_theta', 'rope_scaling']) delete config[field];
      config['rope_parameters'] = reference.rope;
    }
    writeFileSync(file, JSON.stringify({ ...config, ...reference.top }));
    const out = path.join(folder, 'model');
    const { manifest } = await compileDirectory(checkpoint, out, { context, chunk: 16 });
    await work(manifest, out, reference);
  });
}

/** The error of the last position's logits, in the smallest cache that holds the sequence. */
async function errorAt(manifest: Manifest, out: string, reference: LengthReference, length: number) {
  const host = await TestHost.open(
    out,
    manifest.capacities.find((c) => c >= length)!,
  );
  try {
    const rows = await host.forward(reference.ids.slice(0, length), 0);
    const { logits } = reference.rows.find((r) => r.length === length)!;
    return worstError([rows.at(-1)!], [Float32Array.from(logits)]);
  } finally {
    await host.close();
  }
}

it('longrope: as transformers at, below and above the length where the factors change', async () => {
  await withCase('longrope', [64], async (manifest, out, reference) => {
    // The step was put in.
    expect(manifest.capacities).toEqual([32, 64]);
    expect(rotationChanges(manifest.rope, manifest.capacities)).toEqual([64]);
    for (const { length } of reference.rows)
      expect(await errorAt(manifest, out, reference, length), `${length} tokens`).toBeLessThan(1e-4);
  });
});

it('dynamic: as transformers up to the trained length, and where a sequence fills its cache', async () => {
  await withCase('dynamic', [16, 48, 64], async (manifest, out, reference) => {
    expect(manifest.capacities).toEqual([16, 32, 48, 64]);
    expect(rotationChanges(manifest.rope, manifest.capacities)).toEqual([48, 64]);
    for (const { length } of reference.rows)
      expect(await errorAt(manifest, out, reference, length), `${length} tokens`).toBeLessThan(1e-4);
  });
});

it.each([
  ['no longer than the length where it changes', [32], [32], []],
  ['given it as a step', [32, 64], [32, 64], [64]],
  ['with steps on one side only', [16, 24], [16, 24], []],
])('adds no step to a model that is %s', async (_, context, capacities, changes) => {
  await withCase('longrope', context, async (manifest) => {
    expect(manifest.capacities).toEqual(capacities);
    expect(rotationChanges(manifest.rope, manifest.capacities)).toEqual(changes);
  });
});
