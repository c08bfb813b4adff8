// `baton compile` as a person runs it, on the compiler's fixtures.
import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { afterAll, expect, it } from 'vitest';

const root = path.resolve(import.meta.dirname, '../../../..');
const fixture = path.join(root, 'packages/compiler/test/fixtures/qwen2');
const folder = mkdtempSync(path.join(os.tmpdir(), 'baton-cli-compile-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

function baton(...words: string[]) {
  const bin = path.join(root, 'apps/cli/bin/baton.mjs');
  return spawnSync(process.execPath, [bin, 'compile', ...words], { encoding: 'utf8' });
}

it('compiles a folder and reports sizes and errors as JSON', () => {
  const out = path.join(folder, 'model');
  const options = [
    '--context',
    '64,128',
    '--chunk',
    '16',
    '--weights',
    'int4',
    '--group',
    '16',
    '--keep',
    '.down=int8',
  ];
  const run = baton(fixture, '--out', out, ...options, '--layers-per-graph', '2', '--id', 'tiny', '--json');
  expect(run.stderr).toBe('');
  expect(run.status).toBe(0);
  const result = JSON.parse(run.stdout);
  expect(result).toMatchObject({ out, id: 'tiny', family: 'qwen2', parameters: 68208 });
  expect(result.layerErrors.map((e: { part: string }) => e.part)).toEqual([
    'layers.0',
    'layers.1',
    'layers.2',
    'head',
  ]);
  const manifest = JSON.parse(readFileSync(path.join(out, 'baton.json'), 'utf8'));
  expect(manifest).toMatchObject({
    id: 'tiny',
    capacities: [64, 128],
    chunk: 16,
    weights: 'int4',
    group: 16,
    layersPerGraph: 2,
  });
  expect(manifest.tensors['layers.0.down'].dtype).toBe('int8');
});

it('prints one line and leaves nothing when it fails', () => {
  const out = path.join(folder, 'none');
  for (const [words, message] of [
    [[path.join(folder, 'absent')], /no folder .*absent, and it is neither a URL nor an id/],
    [[folder], /no \.safetensors file/],
    [[fixture, '--chunk', '99', '--context', '64'], /chunk 99 is longer than the smallest context/],
  ] as const) {
    const run = baton(...words, '--out', out);
    expect(run.status).not.toBe(0);
    expect(run.stderr.trim()).toMatch(message);
    expect(run.stderr.trim()).not.toContain('\n');
    expect(existsSync(out)).toBe(false);
  }
});
