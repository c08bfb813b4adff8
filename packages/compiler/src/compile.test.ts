// Options and by-products of a compilation that no other test looks at: progress, epsilon floor, carried files, identity.
import { readdir, readFile } from 'node:fs/promises';
import path from 'node:path';
import { expect, it } from 'vitest';
import { fixture, withFolder } from '../test/fixtures.ts';
import type { CompileProgress } from './index.ts';
import { compileDirectory } from './node/index.ts';

const SMALL = { context: 32, chunk: 8 } as const;

it('reports progress that only grows and ends at the whole', async () => {
  await withFolder(async (folder) => {
    const seen: CompileProgress[] = [];
    const { sourceBytes } = await compileDirectory(fixture('qwen2').directory, path.join(folder, 'm'), {
      ...SMALL,
      onProgress: (p) => seen.push(p),
    });
    const weights = seen.filter((p) => p.phase === 'weights');
    expect(weights.length).toBeGreaterThan(30);
    for (const [i, p] of weights.entries()) {
      expect(p.done).toBeGreaterThan(weights[i - 1]?.done ?? 0);
      expect(p.total).toBe(sourceBytes);
    }
    expect(weights.at(-1)!.done).toBe(sourceBytes);
    expect(seen.map((p) => p.phase)).toContain('graphs');
    expect(seen.at(-1)).toMatchObject({ phase: 'finish', item: 'baton.json' });
  });
});

it('raises the norm epsilon only to the floor', async () => {
  await withFolder(async (folder) => {
    const epsilon = async (epsilonFloor: number) => {
      const out = path.join(folder, String(epsilonFloor));
      return (await compileDirectory(fixture('qwen2').directory, out, { ...SMALL, epsilonFloor })).manifest
        .architecture.rmsNormEps;
    };
    expect(await epsilon(5e-5)).toBe(5e-5);
    expect(await epsilon(1e-9)).toBe(1e-6);
  });
});

it('lists every file that it writes, carries the configuration along and gives the same bytes every time', async () => {
  await withFolder(async (folder) => {
    const { directory } = fixture('gemma3');
    const [a, b] = [path.join(folder, 'a'), path.join(folder, 'b')];
    const { manifest } = await compileDirectory(directory, a, { ...SMALL, id: 'mine' });
    const again = await compileDirectory(directory, b, { ...SMALL, id: 'mine' });
    expect(again.manifest).toEqual(manifest);
    expect((await readdir(a)).toSorted()).toEqual(
      [...manifest.files.map((f) => f.path), 'baton.json'].toSorted(),
    );
    expect(manifest.tokenizerFiles).toEqual(['generation_config.json', 'config.json']);
    expect(await readFile(path.join(a, 'config.json'))).toEqual(
      await readFile(path.join(directory, 'config.json')),
    );
    expect(manifest).toMatchObject({ id: 'mine', source: { name: 'gemma3', parameters: 69072 } });
  });
});

it('replaces an older model in the same folder', async () => {
  await withFolder(async (folder) => {
    const out = path.join(folder, 'm');
    await compileDirectory(fixture('qwen2').directory, out, { ...SMALL, context: [32, 64] });
    const { manifest } = await compileDirectory(fixture('qwen3').directory, out, SMALL);
    expect(JSON.parse(await readFile(path.join(out, 'baton.json'), 'utf8'))).toEqual(manifest);
    expect(await readdir(out)).toHaveLength(manifest.files.length + 1);
    expect(await readdir(folder)).toEqual(['m']);
  });
});
