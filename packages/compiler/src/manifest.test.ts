// baton.json is read by programs of other versions and may be edited or cut short: what is wrong is named.
import path from 'node:path';
import { expect, it } from 'vitest';
import { fixture, withFolder } from '../test/fixtures.ts';
import { ManifestError, parseManifest, type Manifest } from './index.ts';
import { compileDirectory } from './node/index.ts';

async function manifest(): Promise<Manifest> {
  return withFolder(async (folder) => {
    const options = { context: 32, chunk: 8, weights: 'int8' } as const;
    return (await compileDirectory(fixture('gemma2').directory, path.join(folder, 'm'), options)).manifest;
  });
}

it('survives its own JSON unchanged', async () => {
  const m = await manifest();
  expect(parseManifest(JSON.stringify(m))).toEqual(m);
  expect(parseManifest(JSON.parse(JSON.stringify(m)))).toEqual(m);
  expect(m).toMatchObject({
    family: 'gemma2',
    capacities: [32],
    chunk: 8,
    stopIds: [2],
    bosId: 1,
    embedding: { scale: Math.sqrt(48) },
  });
  expect(m.architecture).toMatchObject({
    attentionCap: 5,
    logitCap: 6,
    norms: 'sandwich',
    activation: 'gelu-tanh',
  });
  expect(m.masks).toEqual([{ window: 13 }, { window: null }]);
});

it('names what is wrong', async () => {
  const good = await manifest();
  const wrong = (change: (m: Record<string, never> & Manifest) => void) => () => {
    const copy = structuredClone(good);
    change(copy as Record<string, never> & Manifest);
    return parseManifest(copy);
  };
  expect(() => parseManifest('{"schema": "baton.mod')).toThrow(ManifestError);
  expect(() => parseManifest('{"schema": "baton.mod')).toThrow(/baton\.json: not JSON/);
  expect(() => parseManifest({})).toThrow(
    /no schema field, expected "baton\.model\/1"; compile the model again/,
  );
  expect(() => parseManifest(null)).toThrow(/no schema field/);
  expect(() => parseManifest({ schema: 'baton.model/9' })).toThrow(/schema "baton\.model\/9"/);
  expect(wrong((m) => void (m.chunk = -1))).toThrow(/baton\.json: chunk: /);
  expect(wrong((m) => void (m.architecture.heads = 1.5))).toThrow(/architecture\.heads: /);
  expect(wrong((m) => void (m.weightsFile = '../../etc/passwd'))).toThrow(
    /weightsFile: must be a relative path/,
  );
  expect(wrong((m) => void (m.files[0]!.path = '/etc/passwd'))).toThrow(
    /files\.0\.path: must be a relative path/,
  );
  for (const elsewhere of [
    'x\n/../../../escaped.txt',
    'a/../../escaped.txt',
    '..\\escaped.txt',
    'C:escaped.txt',
    'https://evil/x',
    '%2e%2e/escaped.txt',
    'a//b',
    './a',
    '',
  ]) {
    expect(wrong((m) => void (m.files[0]!.path = elsewhere))).toThrow(
      /files\.0\.path: must be a relative path/,
    );
  }
  expect(wrong((m) => void (m.tensors['head']!.offset = 1e9))).toThrow(
    /tensors\.head: ends at byte \d+ of weights\.bin/,
  );
  expect(wrong((m) => void (m.embedding.tensor = 'nothing'))).toThrow(/embedding: no tensor nothing/);
  expect(wrong((m) => void (m.architecture.layers[0]!.mask = 7))).toThrow(/layers\.0: no mask 7/);
  expect(wrong((m) => void (m.graphs[0]!.file = 'other.onnx'))).toThrow(
    /graphs: other\.onnx is not in files/,
  );
});
